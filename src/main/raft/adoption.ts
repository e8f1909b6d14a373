/**
 * Whether a manager that joins was let in already: by an attempt whose answer it never got.
 *
 * The leader adds a member before it tells it so. When the answer is lost, by a crash of either side,
 * the new member counts for the quorum and does not know it; of a pair, neither then can lead, so that
 * asking again would find nobody. What the members have applied tells without a leader.
 *
 * To take up the raft id is safe because this node took no part under it yet: it has promised nothing
 * that its empty log could break. Under an id that it held before, with a log that is gone, it may
 * have; a manager that does not know yet that this id was removed must not bring it back.
 */
import type { ManagerReport } from '../../shared/wire/gen/operations.ts';
import type { RaftMember } from '../../shared/wire/gen/raft.ts';

/** Who this node is in the group, and who else is in it. */
export type Adoption = { readonly member: RaftMember; readonly members: readonly RaftMember[] };

/** Who asks. */
export type Joiner = {
  readonly nodeId: string;
  readonly clusterId: string;
  /** Whether this node took part under this raft id before. */
  readonly hasHeld: (raftId: bigint) => boolean;
};

/**
 * The member that this node is by the word of the managers that answered; undefined when it is none.
 *
 * The one that has applied most decides: what the others have applied is a part of it. One that was
 * removed may tell of a group of before, and does not count.
 */
export function adoptionOf(reports: readonly ManagerReport[], node: Joiner): Adoption | undefined {
  const ours = reports.filter(({ clusterId }) => clusterId === node.clusterId);
  const removed = new Set(ours.flatMap(({ removedMembers }) => removedMembers));
  const newest = ours
    .filter(({ raftId }) => raftId !== 0n && !removed.has(raftId))
    .reduce<ManagerReport | undefined>(
      (best, next) => (best === undefined || next.appliedIndex > best.appliedIndex ? next : best),
      undefined,
    );
  const member = newest?.members.find(({ nodeId }) => nodeId === node.nodeId);
  if (newest === undefined || member === undefined) return undefined;
  if (removed.has(member.raftId) || node.hasHeld(member.raftId)) return undefined;
  return { member, members: newest.members };
}
