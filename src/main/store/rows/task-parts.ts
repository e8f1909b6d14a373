/**
 * A task's bytes taken apart without decoding what a row keeps encoded: an entry from elsewhere or a
 * snapshot becomes rows at the cost of copying.
 */
import { Meta } from '../../../shared/wire/gen/objects.ts';
import type { TaskState } from '../../../shared/wire/gen/types.ts';
import { Timestamp } from '../../../shared/wire/gen/well-known.ts';
import { EMPTY_BYTES, Reader, WireError } from '../../../shared/wire/runtime.ts';
import { BODY_TAG, RUNTIME_TAG } from './own-parts.ts';
import { SHARED_TAG } from './shared-parts.ts';

/** A task's status, its runtime fields still encoded. */
export type StatusParts = {
  readonly timestamp: Timestamp | undefined;
  readonly state: TaskState;
  readonly message: string;
  readonly err: string;
  readonly appliedBy: string;
  readonly appliedAt: Timestamp | undefined;
  readonly runtime: Uint8Array;
};

/** A task, its shared part and its body still encoded. */
export type TaskParts = {
  readonly id: string;
  readonly meta: Meta;
  readonly serviceId: string;
  readonly slot: number;
  readonly nodeId: string;
  readonly status: StatusParts;
  readonly desiredState: TaskState;
  readonly jobIteration: number | undefined;
  readonly shared: Uint8Array;
  readonly body: Uint8Array;
};

const SHARED_TAGS: ReadonlySet<number> = new Set(Object.values(SHARED_TAG));
const BODY_TAGS: ReadonlySet<number> = new Set(Object.values(BODY_TAG));
const RUNTIME_TAGS: ReadonlySet<number> = new Set(Object.values(RUNTIME_TAG));
const NO_FIELDS: ReadonlySet<number> = new Set<number>();

/** Pieces of a message that stay encoded; pieces that touch are one. */
class Pieces {
  readonly #message: Uint8Array;
  readonly #pieces: { start: number; end: number }[] = [];

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  add(start: number, end: number): void {
    const last = this.#pieces.at(-1);
    if (last?.end === start) last.end = end;
    else this.#pieces.push({ start, end });
  }

  joined(): Uint8Array {
    const [first] = this.#pieces;
    if (first === undefined) return EMPTY_BYTES;
    if (this.#pieces.length === 1) return this.#message.subarray(first.start, first.end);
    return Buffer.concat(this.#pieces.map(({ start, end }) => this.#message.subarray(start, end)));
  }
}

/** @throws WireError when the outer fields are not those of a task. */
export function takeApart(bytes: Uint8Array): TaskParts {
  const reader = new Reader(bytes);
  const shared = new Pieces(bytes);
  const body = new Pieces(bytes);
  let id = '';
  let meta: Meta | undefined;
  let serviceId = '';
  let slot = 0;
  let nodeId = '';
  let status = NO_STATUS;
  let desiredState = 0;
  let jobIteration: number | undefined;
  while (reader.position < reader.end) {
    const start = reader.position;
    const tag = reader.tag();
    if (SHARED_TAGS.has(tag) || BODY_TAGS.has(tag)) {
      reader.skip(tag, NO_FIELDS);
      (SHARED_TAGS.has(tag) ? shared : body).add(start, reader.position);
      continue;
    }
    // prettier-ignore
    switch (tag) {
      case 10: id = reader.string(); break;
      case 18: meta = Meta.decode(reader.view()); break;
      case 34: serviceId = reader.string(); break;
      case 40: slot = reader.varint(); break;
      case 50: nodeId = reader.string(); break;
      case 74: status = takeStatusApart(reader.view()); break;
      case 80: desiredState = reader.int32(); break;
      case 130: jobIteration = versionIndex(reader.view()); break;
      default: reader.skip(tag, NO_FIELDS);
    }
  }
  if (id === '') throw new WireError('docker.swarmkit.v1.Task: a task without an id');
  return {
    id,
    meta: meta ?? Meta.create(),
    serviceId,
    slot,
    nodeId,
    status,
    desiredState: stateOf(desiredState),
    jobIteration,
    shared: shared.joined(),
    body: body.joined(),
  };
}

function stateOf(value: number): TaskState {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as it was written
  return value as TaskState;
}

const NO_STATUS: StatusParts = {
  timestamp: undefined,
  state: 0,
  message: '',
  err: '',
  appliedBy: '',
  appliedAt: undefined,
  runtime: EMPTY_BYTES,
};

function takeStatusApart(bytes: Uint8Array): StatusParts {
  const reader = new Reader(bytes);
  const runtime = new Pieces(bytes);
  let timestamp: Timestamp | undefined;
  let state = 0;
  let message = '';
  let err = '';
  let appliedBy = '';
  let appliedAt: Timestamp | undefined;
  while (reader.position < reader.end) {
    const start = reader.position;
    const tag = reader.tag();
    if (RUNTIME_TAGS.has(tag)) {
      reader.skip(tag, NO_FIELDS);
      runtime.add(start, reader.position);
      continue;
    }
    switch (tag) {
      case 10:
        timestamp = Timestamp.decode(reader.view());
        break;
      case 16:
        state = reader.int32();
        break;
      case 26:
        message = reader.string();
        break;
      case 34:
        err = reader.string();
        break;
      case 58:
        appliedBy = reader.string();
        break;
      case 66:
        appliedAt = Timestamp.decode(reader.view());
        break;
      default:
        reader.skip(tag, NO_FIELDS);
    }
  }
  const whole = { timestamp, state: stateOf(state), message, err, appliedBy, appliedAt };
  return { ...whole, runtime: runtime.joined() };
}

function versionIndex(bytes: Uint8Array): number {
  const reader = new Reader(bytes);
  let index = 0;
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag === 8) index = reader.varint();
    else reader.skip(tag, NO_FIELDS);
  }
  return index;
}
