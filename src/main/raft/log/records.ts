/** The log's own records as bytes. */
import { ClusterSnapshot } from '../../../shared/wire/gen/snapshot.ts';
import { SnapshotMetadata } from '../../../shared/wire/gen/raftpb.ts';
import type { SnapshotMeta } from './durable-log.ts';
import type { JournalMark } from './journal.ts';

/** A snapshot, and how many pieces and bytes its content has. */
export type Description = {
  readonly meta: SnapshotMeta;
  readonly pieces: number;
  readonly bytes: number;
};

/** Bytes of its content, number of its pieces, length of raft's part; raft's and the cluster's own. */
const HEAD_BYTES = 16;

export function encodeMeta({ meta, pieces, bytes }: Description): Buffer {
  const { index, term, confState, members, removed } = meta;
  const raft = SnapshotMetadata.encode({ index, term, confState });
  const cluster = ClusterSnapshot.encode({ members, removed });
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeDoubleLE(bytes, 0);
  head.writeUInt32LE(pieces, 8);
  head.writeUInt32LE(raft.length, 12);
  return Buffer.concat([head, raft, cluster]);
}

export function decodeMeta(stored: Buffer): Description {
  const bytes = stored.readDoubleLE(0);
  const pieces = stored.readUInt32LE(8);
  const split = HEAD_BYTES + stored.readUInt32LE(12);
  const raft = SnapshotMetadata.decode(stored.subarray(HEAD_BYTES, split));
  return { bytes, pieces, meta: { ...raft, ...ClusterSnapshot.decode(stored.subarray(split)) } };
}

/** What one save adds to the journal; everything in it is sealed as it is in the database. */
export type Saved = {
  readonly hardState: Buffer | undefined;
  /** In order; they replace everything from the first one's index on. */
  readonly entries: readonly SealedEntry[];
};

export type SealedEntry = { readonly index: number; readonly sealed: Buffer };

/** Index and length before each part; the hard state, if there is one, stands first with index 0. */
const PART_HEAD_BYTES = 12;

export function encodeSaved({ hardState, entries }: Saved): Buffer[] {
  const parts = hardState === undefined ? [] : [{ index: 0, sealed: hardState }];
  return [...parts, ...entries].flatMap(({ index, sealed }) => {
    const head = Buffer.allocUnsafe(PART_HEAD_BYTES);
    head.writeDoubleLE(index, 0);
    head.writeUInt32LE(sealed.length, 8);
    return [head, sealed];
  });
}

export function decodeSaved(bytes: Buffer): Saved {
  let hardState: Buffer | undefined;
  const entries: SealedEntry[] = [];
  for (let at = 0; at < bytes.length;) {
    const index = bytes.readDoubleLE(at);
    const end = at + PART_HEAD_BYTES + bytes.readUInt32LE(at + 8);
    const sealed = bytes.subarray(at + PART_HEAD_BYTES, end);
    if (index === 0) hardState = sealed;
    else entries.push({ index, sealed });
    at = end;
  }
  return { hardState, entries };
}

export function encodeJournalMark({ number, offset }: JournalMark): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeDoubleLE(number, 0);
  bytes.writeDoubleLE(offset, 8);
  return bytes;
}

export const decodeJournalMark = (stored: Buffer): JournalMark => ({
  number: stored.readDoubleLE(0),
  offset: stored.readDoubleLE(8),
});

/** One place in the log. */
type Mark = { readonly index: number; readonly term: number };

export function encodeMark({ index, term }: Mark): Buffer {
  const mark = Buffer.alloc(16);
  mark.writeDoubleLE(index, 0);
  mark.writeDoubleLE(term, 8);
  return mark;
}

export const decodeMark = (stored: Buffer): Mark => ({
  index: stored.readDoubleLE(0),
  term: stored.readDoubleLE(8),
});
