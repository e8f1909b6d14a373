/**
 * What makes the log of one manager the log of a group of one (behaviour rule 3.11): the others are
 * removed, by entries like any that a leader writes, in a term of their own.
 *
 * Entries that this manager has and does not know to be committed stay. They may have been
 * acknowledged by a majority that is lost now, and this log is the last to tell; one that was not
 * acknowledged may still come to pass, as after any election. Only the removal of this manager itself,
 * unless it is committed, goes with all that stands behind it.
 */
import type { RaftMember } from '../../../shared/wire/gen/raft.ts';
import { RaftMember as RaftMemberCodec } from '../../../shared/wire/gen/raft.ts';
import {
  ConfChange,
  ConfChangeType,
  type Entry,
  EntryType,
} from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from '../core/configuration.ts';
import type { Persist } from '../core/ready.ts';
import type { LogStorage } from '../core/storage.ts';
import type { SnapshotMeta } from './durable-log.ts';

/** Encoded bytes read at a time. */
const READ_BYTES = 1 << 20;

/** Who belongs to the group at the end of a log, and who was removed before. */
export type GroupInLog = {
  /** By raft id; undefined for one of whom only that is known. */
  readonly members: ReadonlyMap<bigint, RaftMember | undefined>;
  readonly removed: ReadonlySet<bigint>;
};

/** The group of the snapshot, changed by every entry after it and before `end`, committed or not. */
function groupIn(log: LogStorage, snapshot: SnapshotMeta | undefined, end: number): GroupInLog {
  const members = new Map<bigint, RaftMember | undefined>();
  const removed = new Set(snapshot?.removed);
  for (const id of snapshot?.confState.voters ?? []) members.set(id, undefined);
  for (const member of snapshot?.members ?? []) members.set(member.raftId, member);
  for (const { change } of changesIn(log, (snapshot?.index ?? 0) + 1, end)) {
    const { type, nodeId, context } = change;
    if (type === ConfChangeType.ConfChangeRemoveNode) {
      members.delete(nodeId);
      removed.add(nodeId);
    } else members.set(nodeId, context && RaftMemberCodec.decode(context));
  }
  return { members, removed };
}

type PlacedChange = { readonly index: number; readonly change: ConfChange };

function* changesIn(log: LogStorage, from: number, end: number): Generator<PlacedChange, void> {
  for (let index = Math.max(log.firstIndex(), from); index < end;) {
    const entries = log.entries(index, end, READ_BYTES) ?? [];
    for (const { type, data, index: at } of entries) {
      if (type !== EntryType.EntryConfChange || data === undefined) continue;
      yield { index: at, change: ConfChange.decode(data) };
    }
    index += entries.length;
  }
}

/** Where what stays ends: before the removal of this member, if that is not committed. */
function endOfKept(log: LogStorage, raftId: bigint): number {
  const end = log.lastIndex() + 1;
  const { commit } = log.initialState().hardState;
  for (const { index, change } of changesIn(log, commit + 1, end)) {
    const isOwn = change.nodeId === raftId;
    if (isOwn && change.type === ConfChangeType.ConfChangeRemoveNode) return index;
  }
  return end;
}

/** How a log becomes that of a group of one. */
export type SoleMember = {
  /** As it was. */
  readonly group: GroupInLog;
  /** What to store; null when nothing is left to do. */
  readonly persist: Persist | null;
};

/** `self` must not be among those that the group of the log has removed: who was, is so for ever. */
export function soleMember(
  log: LogStorage,
  snapshot: SnapshotMeta | undefined,
  self: RaftMember,
): SoleMember {
  const { hardState: before } = log.initialState();
  const end = endOfKept(log, self.raftId);
  const group = groupIn(log, snapshot, end);
  const term = before.term + 1;
  const entries = changesTo(group, self).map((change, i): Entry => {
    const data = ConfChange.encode(change);
    return { type: EntryType.EntryConfChange, term, index: end + i, data };
  });
  if (entries.length === 0 && end <= log.lastIndex()) {
    // What does not stay goes when something takes its place.
    entries.push({ type: EntryType.EntryNormal, term, index: end, data: undefined });
  }
  // A removal at the end of the log counts only once it is committed, and others may be needed for that.
  if (entries.length === 0 && before.commit === log.lastIndex()) return { group, persist: null };
  const hardState = { term, vote: NONE, commit: end - 1 + entries.length };
  return { group, persist: { hardState, snapshot: null, entries, mustSync: true } };
}

function changesTo({ members }: GroupInLog, self: RaftMember): ConfChange[] {
  const others = [...members.keys()].filter((id) => id !== self.raftId);
  const removals = others.map((nodeId) =>
    ConfChange.create({ type: ConfChangeType.ConfChangeRemoveNode, nodeId }),
  );
  if (members.has(self.raftId)) return removals;
  const context = RaftMemberCodec.encode(self);
  const type = ConfChangeType.ConfChangeAddNode;
  // First, so that the group is never empty.
  return [ConfChange.create({ type, nodeId: self.raftId, context }), ...removals];
}
