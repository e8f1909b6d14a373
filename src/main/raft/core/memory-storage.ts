/**
 * A `LogStorage` in memory, with the write side that a shell needs: for tests and simulation.
 */
import assert from 'node:assert/strict';
import { HardState, Snapshot } from '../../../shared/wire/gen/raftpb.ts';
import type { ConfState, Entry } from '../../../shared/wire/gen/raftpb.ts';
import { limitBytes } from './entry-size.ts';
import type { InitialState, LogStorage } from './storage.ts';

export class MemoryStorage implements LogStorage {
  #hardState: HardState = HardState.create();
  #snapshot: Snapshot = Snapshot.create();
  /** The last entry that is gone: what `entries` start after. */
  #compacted = { index: 0, term: 0 };
  #entries: Entry[] = [];

  initialState(): InitialState {
    return { hardState: this.#hardState, confState: this.#snapshot.metadata.confState };
  }

  firstIndex(): number {
    return this.#compacted.index + 1;
  }

  lastIndex(): number {
    return this.#compacted.index + this.#entries.length;
  }

  term(index: number): number | null {
    if (index === this.#compacted.index) return this.#compacted.term;
    return this.#entries[index - this.firstIndex()]?.term ?? null;
  }

  entries(from: number, end: number, bytesMax: number): readonly Entry[] | null {
    const first = this.firstIndex();
    if (from < first) return null;
    assert(end <= this.lastIndex() + 1, `entries up to ${end} of ${this.lastIndex()}`);
    return limitBytes(this.#entries.slice(from - first, end - first), bytesMax);
  }

  snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  /** What a restart would find as hard state. */
  get hardState(): HardState {
    return this.#hardState;
  }

  setHardState(hardState: HardState): void {
    this.#hardState = hardState;
  }

  /** Replaces the whole log by a snapshot that came from the leader. */
  applySnapshot(snapshot: Snapshot): void {
    const { index, term } = snapshot.metadata;
    assert(index > this.#snapshot.metadata.index, `snapshot ${index} is out of date`);
    this.#snapshot = snapshot;
    this.#compacted = { index, term };
    this.#entries = [];
  }

  /** Stores `entries`, replacing everything from the first one's index on. */
  append(entries: readonly Entry[]): void {
    const fresh = entries.filter((entry) => entry.index > this.#compacted.index);
    const first = fresh[0];
    if (first === undefined) return;
    assert(first.index <= this.lastIndex() + 1, `gap before ${first.index}`);
    this.#entries.length = first.index - this.firstIndex();
    for (const entry of fresh) this.#entries.push(entry);
  }

  /** Makes the state at `index`, which must be in the log, the newest snapshot. */
  createSnapshot(index: number, confState: ConfState, data: Uint8Array | undefined): Snapshot {
    const term = this.term(index);
    assert(term !== null, `no entry ${index} to make a snapshot of`);
    this.#snapshot = { data, metadata: { confState, index, term } };
    return this.#snapshot;
  }

  /** Forgets the entries up to and with `index`. */
  compact(index: number): void {
    const term = this.term(index);
    assert(term !== null && index > this.#compacted.index, `cannot compact at ${index}`);
    this.#entries = this.#entries.slice(index - this.#compacted.index);
    this.#compacted = { index, term };
  }
}
