/** How the log of a new group begins. */
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import {
  ConfChange,
  ConfChangeType,
  Entry,
  EntryType,
  HardState,
} from '../../shared/wire/gen/raftpb.ts';
import type { DurableLog } from './log/durable-log.ts';

/**
 * The first entries of a new cluster: its founder (wire notes, raft), then `contents`, all or nothing.
 */
export async function foundLog(
  log: DurableLog,
  member: RaftMember,
  contents: readonly Uint8Array[],
): Promise<void> {
  const change = ConfChange.create({
    type: ConfChangeType.ConfChangeAddNode,
    nodeId: member.raftId,
    context: RaftMember.encode(member),
  });
  const data = ConfChange.encode(change);
  const entry = Entry.create({ type: EntryType.EntryConfChange, term: 1, index: 1, data });
  const rest = contents.map((bytes, i) => Entry.create({ term: 1, index: 2 + i, data: bytes }));
  const hardState = HardState.create({ term: 1, commit: 1 + contents.length });
  await log.save({ hardState, snapshot: null, entries: [entry, ...rest], mustSync: true });
  await log.saveMember(member);
}
