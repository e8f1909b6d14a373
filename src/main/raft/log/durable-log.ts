/**
 * What a manager keeps on its disk: the raft log, the hard state and the newest snapshot.
 *
 * It is the core's `LogStorage`, which reads, and the driver's way to write. A write has happened
 * when its promise resolves: then it survives kill -9 and a power cut.
 */
import type { RaftMember } from '../../../shared/wire/gen/raft.ts';
import type { ConfState } from '../../../shared/wire/gen/raftpb.ts';
import type { LogStorage } from '../core/storage.ts';
import type { Persist } from '../core/ready.ts';

/** What a snapshot stands for; its content is the store's. */
export type SnapshotMeta = {
  /** The last log entry it covers. */
  readonly index: number;
  readonly term: number;
  readonly confState: ConfState;
  readonly members: readonly RaftMember[];
  /** Members that were removed and may never come back. */
  readonly removed: readonly bigint[];
};

/** A snapshot that a leader sent; it stands for everything up to its index. */
export type ReceivedSnapshot = {
  readonly meta: SnapshotMeta;
  /** Read more than once. */
  readonly chunks: Iterable<Uint8Array>;
};

/** Its content can be read, once, until it is disposed of: even when a newer snapshot is stored meanwhile. */
export type StoredSnapshot = Disposable & {
  readonly meta: SnapshotMeta;
  /** Bytes of all chunks. */
  readonly bytes: number;
  readonly chunks: Iterable<Uint8Array>;
};

export interface DurableLog extends LogStorage, AsyncDisposable {
  /** Who this manager is in the group; undefined in a fresh log. */
  member(): RaftMember | undefined;
  /** The group as it was told to this manager when it joined: where its members were reached then. */
  peers(): readonly RaftMember[];
  saveMember(member: RaftMember, peers?: readonly RaftMember[]): Promise<void>;
  /**
   * Stores what a Ready asks for, all or nothing. One at a time. `received` is the content of its
   * snapshot, and given exactly when there is one: it replaces the whole log.
   */
  save(persist: Persist, received?: ReceivedSnapshot): Promise<void>;
  /** Stores a snapshot of entries already in the log, piece by piece; the one before it goes. */
  saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void>;
  /** The newest snapshot; whoever reads it disposes of it. */
  readSnapshot(): StoredSnapshot | undefined;
  /** Forgets entries up to `index`, which a snapshot must cover. */
  compact(index: number): Promise<void>;
  /** Removes what a crash left that is no part of the log: at a start, before anything is saved. */
  removeLeftovers(): Promise<void>;
  /** Bytes of the newest snapshot's content; 0 without one. */
  snapshotBytes(): number;
  /** Bytes on disk. */
  sizeBytes(): number;
}
