/**
 * A map from strings that also finds every key that begins with a prefix. It is many small maps, one
 * for each first two characters: ids are random, so a million of them make a thousand maps of a
 * thousand. No map ever grows large enough for its growth to be felt, and a prefix touches one.
 */

/** First characters are told apart up to here; all others share a place, as do keys that end before. */
const CODES = 128;
const OTHERS = CODES - 1;

/** Place of the key's character at `index`. */
function place(key: string, index: number): number {
  if (index >= key.length) return 0;
  const code = key.charCodeAt(index);
  return code < OTHERS ? code : OTHERS;
}

export class PrefixMap<V> {
  /** By the first character, then by the second. */
  readonly #shards: ((Map<string, V> | undefined)[] | undefined)[] = [];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    return this.#shards[place(key, 0)]?.[place(key, 1)]?.get(key);
  }

  set(key: string, value: V): void {
    const row = (this.#shards[place(key, 0)] ??= []);
    const shard = (row[place(key, 1)] ??= new Map<string, V>());
    const before = shard.size;
    shard.set(key, value);
    this.#size += shard.size - before;
  }

  /** Whether the key was there. */
  delete(key: string): boolean {
    const row = this.#shards[place(key, 0)];
    const shard = row?.[place(key, 1)];
    if (row === undefined || shard === undefined || !shard.delete(key)) return false;
    this.#size -= 1;
    if (shard.size === 0) row[place(key, 1)] = undefined;
    return true;
  }

  clear(): void {
    this.#shards.length = 0;
    this.#size = 0;
  }

  /** The different first characters of keys, two of each, or the whole of a shorter key. */
  beginnings(): readonly string[] {
    const found = new Set<string>();
    for (const shard of this.#all()) {
      const [first = ''] = shard.keys();
      const mixed = place(first, 0) === OTHERS || place(first, 1) === OTHERS;
      for (const key of mixed ? shard.keys() : [first]) found.add(key.slice(0, 2));
    }
    return [...found];
  }

  *values(): Generator<V> {
    for (const shard of this.#all()) yield* shard.values();
  }

  /** Values of every key that begins with `prefix`. */
  *withPrefix(prefix: string): Generator<V> {
    for (const shard of this.#beginning(prefix)) {
      for (const [key, value] of shard) if (key.startsWith(prefix)) yield value;
    }
  }

  /** The maps that may hold keys that begin with `prefix`. */
  #beginning(prefix: string): Iterable<Map<string, V>> {
    if (prefix === '') return this.#all();
    const row = this.#shards[place(prefix, 0)] ?? [];
    const shards = prefix.length === 1 ? row : [row[place(prefix, 1)]];
    return shards.filter((shard) => shard !== undefined);
  }

  *#all(): Generator<Map<string, V>> {
    for (const row of this.#shards) {
      for (const shard of row ?? []) if (shard !== undefined) yield shard;
    }
  }
}
