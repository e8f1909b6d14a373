/** A map from strings that also finds every key that begins with a prefix: a small map for each shard. */
import { isMixed, PrefixShards } from './prefix-shards.ts';

export class PrefixMap<V> {
  readonly #shards = new PrefixShards(() => new Map<string, V>());
  #size = 0;
  /** What was looked up last: who looks an id up often writes it next. */
  #lastKey: string | undefined;
  #lastValue: V | undefined;

  get size(): number {
    return this.#size;
  }

  get(key: string): V | undefined {
    if (key === this.#lastKey) return this.#lastValue;
    const value = this.#shards.find(key)?.get(key);
    this.#lastKey = key;
    this.#lastValue = value;
    return value;
  }

  set(key: string, value: V): void {
    this.#lastKey = undefined;
    const shard = this.#shards.make(key);
    const before = shard.size;
    shard.set(key, value);
    this.#size += shard.size - before;
  }

  /** Whether the key was there. */
  delete(key: string): boolean {
    this.#lastKey = undefined;
    const shard = this.#shards.find(key);
    if (shard === undefined || !shard.delete(key)) return false;
    this.#size -= 1;
    if (shard.size === 0) this.#shards.drop(key);
    return true;
  }

  clear(): void {
    this.#lastKey = undefined;
    this.#shards.clear();
    this.#size = 0;
  }

  /** The different first characters of keys, two of each, or the whole of a shorter key. */
  beginnings(): readonly string[] {
    const found = new Set<string>();
    for (const shard of this.#shards.all()) {
      const [first = ''] = shard.keys();
      for (const key of isMixed(first) ? shard.keys() : [first]) found.add(key.slice(0, 2));
    }
    return [...found];
  }

  *values(): Generator<V> {
    for (const shard of this.#shards.all()) yield* shard.values();
  }

  /** Values of every key that begins with `prefix`. */
  *withPrefix(prefix: string): Generator<V> {
    for (const shard of this.#shards.beginning(prefix)) {
      for (const [key, value] of shard) if (key.startsWith(prefix)) yield value;
    }
  }
}
