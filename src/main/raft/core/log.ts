/**
 * The log as the protocol sees it: durable entries and unstable ones as one sequence, with the
 * commit and applied marks (raft paper sections 5.3 and 5.4).
 *
 * Holds `firstIndex - 1 <= applied <= committed <= lastIndex` at all times.
 */
import assert from 'node:assert/strict';
import { EntryType } from '../../../shared/wire/gen/raftpb.ts';
import type { Entry, Snapshot } from '../../../shared/wire/gen/raftpb.ts';
import { encodedBytes, limitBytes } from './entry-size.ts';
import type { LogStorage } from './storage.ts';
import { Unstable } from './unstable.ts';

/** One place in the log: an entry is the same entry wherever both agree (log matching). */
export type EntryId = { readonly term: number; readonly index: number };

export class RaftLog {
  readonly #storage: LogStorage;
  readonly #unstable: Unstable;
  #committed: number;
  #applied: number;

  constructor(storage: LogStorage) {
    this.#storage = storage;
    this.#unstable = new Unstable(storage.lastIndex() + 1);
    this.#committed = storage.firstIndex() - 1;
    this.#applied = this.#committed;
  }

  get committed(): number {
    return this.#committed;
  }

  get applied(): number {
    return this.#applied;
  }

  get firstIndex(): number {
    const { snapshot } = this.#unstable;
    return snapshot === null ? this.#storage.firstIndex() : snapshot.metadata.index + 1;
  }

  get lastIndex(): number {
    return this.#unstable.lastIndex;
  }

  /** A snapshot that the shell has still to store. */
  get pendingSnapshot(): Snapshot | null {
    return this.#unstable.snapshot;
  }

  /** Entries that the shell has still to store. */
  get unstableEntries(): readonly Entry[] {
    return this.#unstable.entries;
  }

  /** Term at `index`, or `null` when it is compacted away or beyond the end. */
  term(index: number): number | null {
    if (index < this.firstIndex - 1 || index > this.lastIndex) return null;
    return this.#unstable.term(index) ?? this.#storage.term(index);
  }

  get lastId(): EntryId {
    const index = this.lastIndex;
    const term = this.term(index);
    assert(term !== null, `no term for the last index ${index}`);
    return { term, index };
  }

  matches(id: EntryId): boolean {
    return this.term(id.index) === id.term;
  }

  /** Whether a log that ends at `id` holds at least what this one does (section 5.4.1). */
  isUpToDate(id: EntryId): boolean {
    const last = this.lastId;
    return id.term > last.term || (id.term === last.term && id.index >= last.index);
  }

  /**
   * Entries from `from` to the end, within `bytesMax` encoded bytes but at least one if there is
   * one; `null` when `from` was compacted away.
   */
  entries(from: number, bytesMax: number): readonly Entry[] | null {
    return this.#slice(from, this.lastIndex + 1, bytesMax);
  }

  /** Committed entries that are not applied yet; none while a snapshot waits to be stored. */
  nextCommitted(bytesMax: number): readonly Entry[] {
    if (!this.hasNextCommitted) return [];
    const entries = this.#slice(this.#applied + 1, this.#committed + 1, bytesMax);
    assert(entries !== null, `entry ${this.#applied + 1} was compacted before it was applied`);
    return entries;
  }

  get hasNextCommitted(): boolean {
    return this.#unstable.snapshot === null && this.#applied < this.#committed;
  }

  /** Whether a configuration change is committed but not applied. */
  hasUnappliedConfChange(): boolean {
    for (let from = this.#applied + 1; from <= this.#committed;) {
      const entries = this.#slice(from, this.#committed + 1, CONF_CHANGE_SCAN_BYTES);
      assert(entries !== null, `entry ${from} was compacted before it was applied`);
      if (entries.some((entry) => entry.type !== EntryType.EntryNormal)) return true;
      from += entries.length;
    }
    return false;
  }

  /** Appends a leader's own entries. */
  append(entries: readonly Entry[]): void {
    const first = entries[0];
    if (first === undefined) return;
    assert(first.index > this.#committed, `${first.index} is committed up to ${this.#committed}`);
    this.#unstable.append(entries);
  }

  /**
   * A follower's append: after `previous` come `entries`. Entries that are already there stay, the
   * first that differs replaces the rest (section 5.3).
   * @returns the last index now known to agree with the sender, or `null` when `previous` does not.
   */
  tryAppend(previous: EntryId, entries: readonly Entry[], committed: number): number | null {
    if (!this.matches(previous)) return null;
    const lastNew = previous.index + entries.length;
    const conflict = entries.findIndex((entry) => !this.matches(entry));
    if (conflict !== -1) this.append(entries.slice(conflict));
    this.commitTo(Math.min(committed, lastNew));
    return lastNew;
  }

  /**
   * The highest index at or below `index` whose term is at most `term`: no entry after it can agree
   * with a log that has `term` at `index`, so a probe may skip the rest. A term that is compacted
   * away may agree, and is given with term 0.
   */
  findConflictByTerm(index: number, term: number): EntryId {
    for (let at = index; at > 0; at -= 1) {
      const ours = this.term(at);
      if (ours === null) return { index: at, term: 0 };
      if (ours <= term) return { index: at, term: ours };
    }
    return { index: 0, term: 0 };
  }

  commitTo(index: number): void {
    if (index <= this.#committed) return;
    assert(index <= this.lastIndex, `commit ${index} is beyond the log's end ${this.lastIndex}`);
    this.#committed = index;
  }

  /** Commits up to `id` if the log holds exactly that entry. @returns whether the mark moved. */
  tryCommit(id: EntryId): boolean {
    if (id.index <= this.#committed || id.term === 0 || !this.matches(id)) return false;
    this.commitTo(id.index);
    return true;
  }

  /**
   * At a start: the application already holds the state at `index`. That was committed then, even
   * if the commit mark itself was lost in a crash.
   */
  resumeAt(index: number): void {
    this.commitTo(index);
    if (index > this.#applied) this.appliedTo(index);
  }

  appliedTo(index: number): void {
    assert(index <= this.#committed, `applied ${index} before commit ${this.#committed}`);
    assert(index >= this.#applied, `applied ${index} after ${this.#applied}`);
    this.#applied = index;
  }

  stableTo(id: EntryId): void {
    this.#unstable.stableTo(id.index, id.term);
  }

  snapshotStable(index: number): void {
    this.#unstable.snapshotStable(index);
    if (index > this.#applied) this.appliedTo(index);
  }

  /** Replaces the whole log by `snapshot`, which the shell stores with the next `Ready`. */
  restore(snapshot: Snapshot): void {
    this.#unstable.restore(snapshot);
    this.#committed = snapshot.metadata.index;
  }

  /** A snapshot for a follower that is behind the first entry; `null` while none can be given. */
  snapshot(): Snapshot | null {
    return this.#unstable.snapshot ?? this.#storage.snapshot();
  }

  #slice(from: number, end: number, bytesMax: number): readonly Entry[] | null {
    if (from < this.firstIndex) return null;
    if (from >= end) return [];
    const { offset } = this.#unstable;
    if (from >= offset) return limitBytes(this.#unstable.slice(from, end), bytesMax);
    const storedEnd = Math.min(end, offset);
    const stored = this.#storage.entries(from, storedEnd, bytesMax);
    if (stored === null || stored.length < storedEnd - from || end <= offset) return stored;
    const room = bytesMax - stored.reduce((sum, entry) => sum + encodedBytes(entry), 0);
    return stored.concat(fitting(this.#unstable.slice(offset, end), room));
  }
}

/** How much of the log a scan for configuration changes reads at a time. */
const CONF_CHANGE_SCAN_BYTES = 1 << 20;

/** Like {@link limitBytes}, but nothing at all when not even the first entry fits. */
function fitting(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  const first = entries[0];
  if (first === undefined || encodedBytes(first) > bytesMax) return [];
  return limitBytes(entries, bytesMax);
}
