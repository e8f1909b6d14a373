/**
 * Shards by the first two characters of a key: ids are random, so a million of them make a thousand
 * shards of a thousand. No shard ever grows large enough for its growth to be felt, and a prefix
 * touches one.
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

/** Whether the key's shard may hold keys that begin differently. */
export function isMixed(key: string): boolean {
  return place(key, 0) === OTHERS || place(key, 1) === OTHERS;
}

export class PrefixShards<S> {
  /** By the first character, then by the second. */
  readonly #shards: ((S | undefined)[] | undefined)[] = [];
  readonly #create: () => S;

  constructor(create: () => S) {
    this.#create = create;
  }

  find(key: string): S | undefined {
    return this.#shards[place(key, 0)]?.[place(key, 1)];
  }

  /** The key's shard, a new one when there is none. */
  make(key: string): S {
    const row = (this.#shards[place(key, 0)] ??= []);
    return (row[place(key, 1)] ??= this.#create());
  }

  /** Forgets the key's shard. */
  drop(key: string): void {
    const row = this.#shards[place(key, 0)];
    if (row !== undefined) row[place(key, 1)] = undefined;
  }

  clear(): void {
    this.#shards.length = 0;
  }

  /** The shards that may hold keys that begin with `prefix`. */
  beginning(prefix: string): Iterable<S> {
    if (prefix === '') return this.all();
    const row = this.#shards[place(prefix, 0)] ?? [];
    const shards = prefix.length === 1 ? row : [row[place(prefix, 1)]];
    return shards.filter((shard) => shard !== undefined);
  }

  *all(): Generator<S> {
    for (const row of this.#shards) {
      for (const shard of row ?? []) if (shard !== undefined) yield shard;
    }
  }
}
