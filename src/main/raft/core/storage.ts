/**
 * The core's read-only view of what is durable.
 *
 * The core never writes: its shell stores what a `Ready` says and this view shows it. Every answer
 * must be immediate, and entries handed out are never changed afterwards.
 */
import type { ConfState, Entry, HardState, Snapshot } from '../../../shared/wire/gen/raftpb.ts';

/** What a node remembers across a restart, besides its log. */
export type InitialState = { readonly hardState: HardState; readonly confState: ConfState };

export interface LogStorage {
  /** The hard state and configuration last stored; zeros and no voters when nothing is stored. */
  initialState(): InitialState;
  /** Index of the first entry that `entries` can give: one past the last snapshot or compaction. */
  firstIndex(): number;
  /** Index of the last entry, or `firstIndex() - 1` when there is none. */
  lastIndex(): number;
  /**
   * Term of the entry at `index`, for `firstIndex() - 1 <= index <= lastIndex()`: the term of the
   * last compacted entry is still known. `null` when `index` lies before or after that range.
   */
  term(index: number): number | null;
  /**
   * Entries of `[from, end)`, cut so that their encoded size stays within `bytesMax`, but at least
   * one. `null` when `from` was compacted away.
   */
  entries(from: number, end: number, bytesMax: number): readonly Entry[] | null;
  /** The newest snapshot, or `null` while none can be given; the core then asks again later. */
  snapshot(): Snapshot | null;
}
