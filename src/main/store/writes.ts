/**
 * The life of one write: made on the head, then either undone with its transaction, or carried by a
 * log entry and at last committed or dropped.
 */
import type { Timestamp } from '../../shared/wire/gen/well-known.ts';
import type { Writer } from '../../shared/wire/runtime.ts';
import type { Change } from './transaction.ts';
import type { Kind } from './view.ts';

/** What a write does, as numbered on the wire. */
export const ACTION = { create: 1, update: 2, remove: 3 } as const;
export type Action = keyof typeof ACTION;

/** One write on the head, not yet committed. */
export interface PendingWrite {
  readonly kind: Kind;
  readonly action: Action;
  /** Upper bound of the bytes that `encode` writes. */
  readonly bytesMax: number;
  /** Writes the object's bytes in front of what `writer` holds. */
  encode(writer: Writer): void;
  /** Takes the write back; writes are undone newest first, in the turn in which they were made. */
  undo(): void;
  /** Moves the write from the head to the committed state. */
  commit(): Change;
  /** Its listeners have heard of it: what only they needed is freed. */
  settle(): void;
  /** It will never be committed: what it held is freed. The table's overlay is cleared as a whole. */
  drop(): void;
}

/** What the writes of one transaction share. */
export interface WriteContext {
  /** Least `meta.version.index` of what is written; see `nextVersion`. */
  readonly version: number;
  readonly now: Timestamp;
  /** Takes a write that was made on the head. */
  add(write: PendingWrite): void;
}

/**
 * The version of an object that had version `stored`. It grows even when the log has not, as within one
 * turn: no two contents share a version, so that whoever read one cannot overwrite the other.
 */
export function nextVersion(context: WriteContext, stored: number): number {
  return Math.max(context.version, stored + 1);
}

/** The wall clock as protobuf has it. */
export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1e6) };
}
