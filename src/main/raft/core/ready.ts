/**
 * What a node wants done: the one way out of the core.
 *
 * A shell does, for each Ready, in this order:
 * 1. send `sendNow`, whenever it likes;
 * 2. store `persist` (a snapshot replaces the log and comes before the entries; entries replace
 *    whatever is stored from the first one's index on), synced to disk with all that was stored
 *    before if `persist.mustSync`;
 * 3. only when that is done, send `sendAfterPersist`;
 * 4. apply `committed` in order, after the snapshot of `persist` if there is one, with
 *    `RawNode.applyConfChange` for each configuration change;
 * 5. call `RawNode.advance`.
 *
 * Steps, ticks and proposals may go on between `ready` and `advance`; the next Ready has to wait, and so
 * has a snapshot that comes (MsgSnap): its members would be in force before what is being applied.
 */
import type { Entry, HardState, Message, Snapshot } from '../../../shared/wire/gen/raftpb.ts';
import type { SoftState } from './raft-state.ts';
import type { ReadState } from './read-only.ts';

export type Persist = {
  /** The new hard state, or `null` when it is unchanged. */
  readonly hardState: HardState | null;
  /** Replaces the whole log and state. */
  readonly snapshot: Snapshot | null;
  readonly entries: readonly Entry[];
  /** Whether anything rests on this; a mere commit mark may be lost in a crash. */
  readonly mustSync: boolean;
};

export type Ready = {
  /** The new role and leader, or `null` when they are unchanged. */
  readonly softState: SoftState | null;
  /** Reads that may be answered once their index is applied. */
  readonly readStates: readonly ReadState[];
  readonly persist: Persist;
  readonly sendNow: readonly Message[];
  /** Messages that promise what `persist` holds. */
  readonly sendAfterPersist: readonly Message[];
  readonly committed: readonly Entry[];
};
