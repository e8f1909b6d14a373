/**
 * Objects with their indices: by id, id prefix, name, name prefix, custom entries and whatever the
 * table declares. One such set holds what is committed, a second, small one what is proposed.
 */
import assert from 'node:assert/strict';
import { PrefixMap } from './prefix-map.ts';
import type { Stored, TableSchema } from './schema.ts';

/** An object in the store with its bytes, which are made at most once. */
export class Entry<T extends Stored> {
  readonly object: T;
  readonly #encode: (object: T) => Uint8Array;
  #bytes: Uint8Array | undefined;

  constructor(object: T, encode: (object: T) => Uint8Array) {
    this.object = object;
    this.#encode = encode;
  }

  get id(): string {
    return this.object.id;
  }

  /** The object's protobuf bytes; not to be written to. */
  get bytes(): Uint8Array {
    return (this.#bytes ??= this.#encode(this.object));
  }
}

const NOTHING: ReadonlySet<never> = new Set<never>();

export class IndexedSet<T extends Stored> {
  readonly #schema: TableSchema<T>;
  readonly #byId = new PrefixMap<Entry<T>>();
  readonly #byName = new PrefixMap<Set<Entry<T>>>();
  readonly #byCustom = new Map<string, Set<Entry<T>>>();
  readonly #byIndex: ReadonlyMap<string, Map<string, Set<Entry<T>>>>;
  #edition: object = {};

  constructor(schema: TableSchema<T>) {
    this.#schema = schema;
    this.#byIndex = new Map(
      Object.keys(schema.indices).map((name) => [name, new Map<string, Set<Entry<T>>>()]),
    );
  }

  get size(): number {
    return this.#byId.size;
  }

  /** Another object as soon as the set holds something else. */
  get edition(): object {
    return this.#edition;
  }

  get(id: string): Entry<T> | undefined {
    return this.#byId.get(id);
  }

  /** `name` in lower case. */
  byName(name: string): ReadonlySet<Entry<T>> {
    return this.#byName.get(name) ?? NOTHING;
  }

  byCustom(key: string, value: string): ReadonlySet<Entry<T>> {
    return this.#byCustom.get(customKey(key, value)) ?? NOTHING;
  }

  find(index: string, key: string): ReadonlySet<Entry<T>> {
    const keys = this.#byIndex.get(index);
    assert(keys !== undefined, `table ${this.#schema.kind} has no index ${index}`);
    const caseless = this.#schema.indices[index]?.caseless === true;
    return keys.get(caseless ? key.toLowerCase() : key) ?? NOTHING;
  }

  byIdPrefix(prefix: string): Iterable<Entry<T>> {
    return this.#byId.withPrefix(prefix);
  }

  /** `prefix` in lower case. */
  *byNamePrefix(prefix: string): Generator<Entry<T>> {
    for (const entries of this.#byName.withPrefix(prefix)) yield* entries;
  }

  values(): Iterable<Entry<T>> {
    return this.#byId.values();
  }

  add(entry: Entry<T>): void {
    const { object } = entry;
    assert(this.#byId.get(object.id) === undefined, `${object.id} is in the set`);
    this.#edition = {};
    this.#byId.set(object.id, entry);
    const name = this.#schema.name(object)?.toLowerCase();
    if (name !== undefined) addTo(this.#byName, name, entry);
    for (const { key, val } of this.#schema.custom(object)) {
      addTo(this.#byCustom, customKey(key, val), entry);
    }
    for (const [index, keys] of this.#byIndex) {
      for (const key of this.#keysOf(index, object)) addTo(keys, key, entry);
    }
  }

  remove(entry: Entry<T>): void {
    const { object } = entry;
    assert(this.#byId.get(object.id) === entry, `${object.id} is not in the set`);
    this.#edition = {};
    this.#byId.delete(object.id);
    const name = this.#schema.name(object)?.toLowerCase();
    if (name !== undefined) removeFrom(this.#byName, name, entry);
    for (const { key, val } of this.#schema.custom(object)) {
      removeFrom(this.#byCustom, customKey(key, val), entry);
    }
    for (const [index, keys] of this.#byIndex) {
      for (const key of this.#keysOf(index, object)) removeFrom(keys, key, entry);
    }
  }

  clear(): void {
    this.#edition = {};
    this.#byId.clear();
    this.#byName.clear();
    this.#byCustom.clear();
    for (const keys of this.#byIndex.values()) keys.clear();
  }

  #keysOf(index: string, object: T): readonly string[] {
    return this.#schema.indices[index]?.keys(object) ?? [];
  }
}

function customKey(key: string, value: string): string {
  return `${key}|${value}`;
}

type SetMap<V> = {
  get(key: string): Set<V> | undefined;
  set(key: string, values: Set<V>): unknown;
  delete(key: string): boolean;
};

function addTo<V>(map: SetMap<V>, key: string, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, new Set([value]));
  else values.add(value);
}

/** An object may stand twice under one key (two references to one secret): the first removal counts. */
function removeFrom<V>(map: SetMap<V>, key: string, value: V): void {
  const values = map.get(key);
  if (values?.delete(value) === true && values.size === 0) map.delete(key);
}
