/**
 * A map from strings that also finds every key that begins with a prefix. It is many small maps, one
 * for each first two characters: ids are random, so a million of them make a thousand maps of a
 * thousand. No map ever grows large enough for its growth to be felt, and a prefix touches one.
 */

/** Characters of a key that choose its map. */
const SHARD_CHARACTERS = 2;

export class PrefixMap<V> {
  readonly #shards = new Map<string, Map<string, V>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    return this.#shards.get(key.slice(0, SHARD_CHARACTERS))?.get(key);
  }

  set(key: string, value: V): void {
    const shardKey = key.slice(0, SHARD_CHARACTERS);
    let shard = this.#shards.get(shardKey);
    if (shard === undefined) this.#shards.set(shardKey, (shard = new Map<string, V>()));
    const before = shard.size;
    shard.set(key, value);
    this.#size += shard.size - before;
  }

  /** Whether the key was there. */
  delete(key: string): boolean {
    const shardKey = key.slice(0, SHARD_CHARACTERS);
    const shard = this.#shards.get(shardKey);
    if (shard === undefined || !shard.delete(key)) return false;
    this.#size -= 1;
    if (shard.size === 0) this.#shards.delete(shardKey);
    return true;
  }

  clear(): void {
    this.#shards.clear();
    this.#size = 0;
  }

  /** The different first characters of keys, two of each, or the whole of a shorter key. */
  beginnings(): readonly string[] {
    return [...this.#shards.keys()];
  }

  *values(): Generator<V> {
    for (const shard of this.#shards.values()) yield* shard.values();
  }

  /** Values of every key that begins with `prefix`. */
  *withPrefix(prefix: string): Generator<V> {
    if (prefix.length >= SHARD_CHARACTERS) {
      yield* matches(this.#shards.get(prefix.slice(0, SHARD_CHARACTERS)), prefix);
      return;
    }
    for (const [shardKey, shard] of this.#shards) {
      if (shardKey.startsWith(prefix)) yield* matches(shard, prefix);
    }
  }
}

function* matches<V>(shard: Map<string, V> | undefined, prefix: string): Generator<V> {
  if (shard === undefined) return;
  for (const [key, value] of shard) if (key.startsWith(prefix)) yield value;
}
