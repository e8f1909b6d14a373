/**
 * The end of the log that is not durable yet: entries, and perhaps a snapshot that replaces
 * everything before them.
 *
 * `entries[i]` has index `offset + i`. An append may reach back before `offset` and so replace what
 * the storage holds; the next `Ready` then rewrites the storage from there.
 */
import assert from 'node:assert/strict';
import type { Entry, Snapshot } from '../../../shared/wire/gen/raftpb.ts';

export class Unstable {
  #offset: number;
  #entries: Entry[] = [];
  #snapshot: Snapshot | null = null;

  /** @param offset the index after the last durable entry. */
  constructor(offset: number) {
    this.#offset = offset;
  }

  get offset(): number {
    return this.#offset;
  }

  get entries(): readonly Entry[] {
    return this.#entries;
  }

  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  get lastIndex(): number {
    return this.#offset + this.#entries.length - 1;
  }

  /** Term of the entry, or of the pending snapshot's last entry, at `index` if it is here. */
  term(index: number): number | null {
    const entry = this.#entries[index - this.#offset];
    if (entry !== undefined) return entry.term;
    const metadata = this.#snapshot?.metadata;
    return metadata?.index === index ? metadata.term : null;
  }

  /** Entries of `[from, end)`, all of which must be here. */
  slice(from: number, end: number): readonly Entry[] {
    assert(from >= this.#offset && end <= this.lastIndex + 1, `no unstable [${from}, ${end})`);
    return this.#entries.slice(from - this.#offset, end - this.#offset);
  }

  /** Puts `entries` at their indexes, dropping whatever stood there and after. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index <= this.lastIndex + 1, `gap before ${first.index}`);
    if (first.index <= this.#offset) {
      this.#offset = first.index;
      this.#entries = [...entries];
      return;
    }
    this.#entries.length = first.index - this.#offset;
    for (const entry of entries) this.#entries.push(entry);
  }

  /**
   * Everything up to (`index`, `term`) is durable. Without effect when that entry was replaced
   * meanwhile: what stands there now has to be written first.
   */
  stableTo(index: number, term: number): void {
    const entry = this.#entries[index - this.#offset];
    if (entry === undefined || entry.term !== term) return;
    this.#entries = this.#entries.slice(index - this.#offset + 1);
    this.#offset = index + 1;
  }

  /** The snapshot that ends at `index` is durable. */
  snapshotStable(index: number): void {
    if (this.#snapshot?.metadata.index === index) this.#snapshot = null;
  }

  /** Replaces the whole log by `snapshot`. */
  restore(snapshot: Snapshot): void {
    this.#offset = snapshot.metadata.index + 1;
    this.#entries = [];
    this.#snapshot = snapshot;
  }
}
