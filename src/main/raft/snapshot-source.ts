/** A snapshot on its way to another member: read as it leaves, so that it never stands in memory as a whole. */
import assert from 'node:assert/strict';
import { type Message, MessageType, type SnapshotMetadata } from '../../shared/wire/gen/raftpb.ts';
import { snapshotHeader } from '../store/entry-codec.ts';
import type { DurableLog } from './log/durable-log.ts';

/** Can be read, once, until it is disposed of. */
export type SnapshotSource = Disposable & {
  readonly metadata: SnapshotMetadata;
  /** Together a `docker.swarmkit.v1.Snapshot`; none is much larger than an object. */
  readonly pieces: Iterable<Uint8Array>;
};

/** The log's newest snapshot, as others take it. */
export function openSnapshot(log: DurableLog): SnapshotSource {
  const stored = log.readSnapshot();
  assert(stored !== undefined, 'what was compacted is in a snapshot');
  const { index, term, confState, members, removed } = stored.meta;
  return {
    metadata: { index, term, confState },
    pieces: (function* pieces() {
      yield snapshotHeader({ members, removed }, stored.bytes);
      yield* stored.chunks;
    })(),
    [Symbol.dispose]: () => stored[Symbol.dispose](),
  };
}

/** A message as its receiver has it, a snapshot's content in it. */
export function withSnapshot(message: Message, open: () => SnapshotSource): Message {
  if (message.type !== MessageType.MsgSnap) return message;
  using source = open();
  return {
    ...message,
    snapshot: { metadata: source.metadata, data: Buffer.concat([...source.pieces]) },
  };
}
