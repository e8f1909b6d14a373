/**
 * How a raft group begins: with a log whose one entry, already committed, adds the founder.
 */
import { ConfChange, ConfChangeType, EntryType } from '../../../shared/wire/gen/raftpb.ts';
import type { Entry, HardState } from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from './configuration.ts';

export type Founding = { readonly hardState: HardState; readonly entries: readonly Entry[] };

/**
 * What the founder `id` stores before its first start. `context` goes with the change. The node
 * may stand for election once it has applied the entry.
 */
export function foundingLog(id: bigint, context?: Uint8Array): Founding {
  const type = ConfChangeType.ConfChangeAddNode;
  const data = ConfChange.encode(ConfChange.create({ type, nodeId: id, context }));
  return {
    hardState: { term: 1, vote: NONE, commit: 1 },
    entries: [{ type: EntryType.EntryConfChange, term: 1, index: 1, data }],
  };
}
