/** The newest entries of a log, as many as fit. */
import type { Entry } from '../../../shared/wire/gen/raftpb.ts';

/** Payload bytes that are kept at most, and of the newest entries at least. */
const BYTES_MAX = 32 * 1024 * 1024;
export const CACHE_BYTES_MIN = BYTES_MAX / 2;

export class EntryCache {
  #entries: Entry[] = [];
  #bytes = 0;

  /** Index of the first entry that is here; Infinity when there is none. */
  get first(): number {
    return this.#entries[0]?.index ?? Infinity;
  }

  /** The entry after the last one. */
  push(entry: Entry): void {
    this.#entries.push(entry);
    this.#bytes += sizeOf(entry);
    if (this.#bytes <= BYTES_MAX) return;
    // Halve it at once, so that the cost of moving the rest is spread.
    let drop = 0;
    let bytes = this.#bytes;
    for (const old of this.#entries) {
      if (bytes <= CACHE_BYTES_MIN) break;
      bytes -= sizeOf(old);
      drop += 1;
    }
    this.#drop(0, drop);
  }

  /** Entries of `[from, end)`; undefined when not all of them are here. */
  slice(from: number, end: number): readonly Entry[] | undefined {
    const { first } = this;
    return from < first ? undefined : this.#entries.slice(from - first, end - first);
  }

  /** Forgets entries from `index` on. */
  truncate(index: number): void {
    const keep = Math.max(0, index - (this.#entries[0]?.index ?? index));
    this.#drop(keep, Infinity);
  }

  /** Forgets entries up to `index`. */
  compact(index: number): void {
    this.#drop(0, Math.max(0, index + 1 - (this.#entries[0]?.index ?? index + 1)));
  }

  #drop(from: number, count: number): void {
    for (const entry of this.#entries.splice(from, count)) this.#bytes -= sizeOf(entry);
  }
}

const sizeOf = (entry: Entry): number => entry.data?.length ?? 0;
