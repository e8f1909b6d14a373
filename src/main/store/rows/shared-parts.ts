/**
 * What all tasks of one service version share (spec, the service's annotations and spec version, log
 * driver): kept once, as bytes and decoded, and found again by its bytes.
 */
import assert from 'node:assert/strict';
import { Task } from '../../../shared/wire/gen/objects.ts';
import { TaskSpec } from '../../../shared/wire/gen/specs.ts';
import { Annotations, Driver, Version } from '../../../shared/wire/gen/types.ts';
import { Writer } from '../../../shared/wire/runtime.ts';
import type { TaskShared } from '../view.ts';

export type ReferenceKind = 'network' | 'secret' | 'config';

/** Tags of the shared fields of a task. */
export const SHARED_TAG = {
  spec: 26,
  serviceAnnotations: 66,
  logDriver: 106,
  specVersion: 114,
} as const;

export type SharedPart = {
  readonly number: number;
  /** Fields of a `Task`. */
  readonly bytes: Uint8Array;
  readonly shared: TaskShared;
  /** The bytes as a string, by which the part is found. */
  readonly key: string;
  holders: number;
};

const writer = new Writer(16_384);

export class SharedParts {
  readonly #parts: (SharedPart | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #byKey = new Map<string, SharedPart>();
  /** The part that was made from a spec object: a fast way for whoever passes on what it read. */
  readonly #bySpec = new WeakMap<TaskSpec, SharedPart>();
  readonly #byReference = new Map<string, Set<number>>();
  readonly #seal: (shared: TaskShared) => TaskShared;

  /** `seal` sees every decoded part; tests freeze there. */
  constructor(seal: (shared: TaskShared) => TaskShared) {
    this.#seal = seal;
  }

  /** Parts held now. */
  get size(): number {
    return this.#byKey.size;
  }

  /** The part with this content, with one holder more. */
  addShared(shared: TaskShared): number {
    const known = this.#bySpec.get(shared.spec);
    if (known !== undefined && known.holders > 0 && sameParts(known.shared, shared)) {
      known.holders += 1;
      return known.number;
    }
    const part = this.#add(encodeShared(shared), () => ({
      spec: shared.spec,
      serviceAnnotations: shared.serviceAnnotations,
      specVersion: shared.specVersion,
      logDriver: shared.logDriver,
    }));
    this.#bySpec.set(shared.spec, part);
    return part.number;
  }

  /**
   * The part with these bytes, with one holder more. `hint` is a number that may be its, so that the
   * bytes need only be compared.
   * @throws WireError
   */
  addBytes(bytes: Uint8Array, hint = 0): number {
    const hinted = this.#parts[hint];
    if (hinted !== undefined && Buffer.compare(hinted.bytes, bytes) === 0) {
      hinted.holders += 1;
      return hint;
    }
    return this.#add(bytes, () => {
      const { spec, serviceAnnotations, specVersion, logDriver } = Task.decode(bytes);
      return { spec, serviceAnnotations, specVersion, logDriver };
    }).number;
  }

  get(number: number): SharedPart {
    return this.#parts[number]!;
  }

  hold(number: number): void {
    this.get(number).holders += 1;
  }

  release(number: number): void {
    const part = this.get(number);
    part.holders -= 1;
    assert(part.holders >= 0, `shared part ${number} was released too often`);
    if (part.holders > 0) return;
    this.#byKey.delete(part.key);
    this.#parts[number] = undefined;
    this.#free.push(number);
    for (const key of referencesOf(part.shared)) {
      const numbers = this.#byReference.get(key);
      if (numbers?.delete(number) === true && numbers.size === 0) this.#byReference.delete(key);
    }
  }

  /** Numbers of the parts whose spec names the object. */
  byReference(kind: ReferenceKind, id: string): Iterable<number> {
    return this.#byReference.get(referenceKey(kind, id)) ?? [];
  }

  #add(bytes: Uint8Array, decode: () => TaskShared): SharedPart {
    const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
    const known = this.#byKey.get(key);
    if (known !== undefined) {
      known.holders += 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#parts.length;
    const shared = this.#seal(decode());
    const part = { number, bytes: new Uint8Array(bytes), shared, key, holders: 1 };
    this.#parts[number] = part;
    this.#byKey.set(key, part);
    this.#bySpec.set(shared.spec, part);
    for (const reference of referencesOf(shared)) {
      const numbers = this.#byReference.get(reference);
      if (numbers === undefined) this.#byReference.set(reference, new Set([number]));
      else numbers.add(number);
    }
    return part;
  }
}

function sameParts(known: TaskShared, shared: TaskShared): boolean {
  return (
    known.serviceAnnotations === shared.serviceAnnotations &&
    known.logDriver === shared.logDriver &&
    known.specVersion?.index === shared.specVersion?.index
  );
}

function encodeShared(shared: TaskShared): Uint8Array {
  const w = writer;
  try {
    if (shared.specVersion !== undefined) {
      w.bytes(Version.encode(shared.specVersion));
      w.varint(SHARED_TAG.specVersion);
    }
    if (shared.logDriver !== undefined) {
      w.bytes(Driver.encode(shared.logDriver));
      w.varint(SHARED_TAG.logDriver);
    }
    w.bytes(Annotations.encode(shared.serviceAnnotations));
    w.varint(SHARED_TAG.serviceAnnotations);
    w.bytes(TaskSpec.encode(shared.spec));
    w.varint(SHARED_TAG.spec);
    return w.finish();
  } catch (error) {
    w.reset();
    throw error;
  }
}

function referenceKey(kind: ReferenceKind, id: string): string {
  return `${kind} ${id}`;
}

function referencesOf({ spec }: TaskShared): Set<string> {
  const container = spec.runtime?.case === 'container' ? spec.runtime.value : undefined;
  return new Set([
    ...spec.networks.map(({ target }) => referenceKey('network', target)),
    ...(container?.secrets ?? []).map(({ secretId }) => referenceKey('secret', secretId)),
    ...(container?.configs ?? []).map(({ configId }) => referenceKey('config', configId)),
  ]);
}
