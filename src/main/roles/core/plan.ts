/**
 * What has to be done so that nodes get the roles that they should have (behaviour rule 4.6): pure over
 * the store's nodes and the members of the raft group.
 */
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import type { View } from '../../store/view.ts';

export type Member = { readonly raftId: bigint; readonly nodeId: string };

export type Step =
  /** Write a node's observed role. */
  | { readonly do: 'set-role'; readonly nodeId: string; readonly role: NodeRole }
  /** Remove a member from the group; it is not the leader. */
  | { readonly do: 'remove'; readonly member: Member }
  /** Let another member lead: this one is to be removed. */
  | { readonly do: 'hand-over' };

export type Plan = {
  /** To be done in this order; a removal changes what is to be done, so there is at most one. */
  readonly steps: readonly Step[];
  /** Members that have to stay for now, since the quorum would be lost with them. */
  readonly waiting: readonly Member[];
};

export type Group = {
  readonly members: readonly Member[];
  /** The leader, which asks. */
  readonly self: bigint;
  readonly canRemove: (raftId: bigint) => boolean;
};

/** As much of the store as is looked at. */
export type NodesView = { readonly nodes: Pick<View['nodes'], 'get' | 'find'> };

/** @param suspects ids of nodes that may have to become managers */
export function plan(view: NodesView, group: Group, suspects: ReadonlySet<string>): Plan {
  const { members, self, canRemove } = group;
  const leaving = members.filter((member) => !belongs(view, member));
  const removable = leaving.filter(({ raftId }) => canRemove(raftId));
  const other = removable.find(({ raftId }) => raftId !== self);
  const steps: Step[] = [...promotions(view, suspects), ...demotions(view, members)];
  if (other !== undefined) steps.push({ do: 'remove', member: other });
  else if (removable.length > 0) steps.push({ do: 'hand-over' });
  return { steps, waiting: leaving.filter((member) => !removable.includes(member)) };
}

/** Whether a member is one by right: its node is there and should be a manager. */
function belongs(view: NodesView, { nodeId }: Member): boolean {
  return view.nodes.get(nodeId)?.spec.desiredRole === NodeRole.MANAGER;
}

function promotions(view: NodesView, suspects: ReadonlySet<string>): Step[] {
  return [...suspects]
    .map((id) => view.nodes.get(id))
    .filter((node) => node !== undefined)
    .filter(({ spec, role }) => spec.desiredRole === NodeRole.MANAGER && role !== NodeRole.MANAGER)
    .map(({ id }) => ({ do: 'set-role', nodeId: id, role: NodeRole.MANAGER }));
}

function demotions(view: NodesView, members: readonly Member[]): Step[] {
  return view.nodes
    .find('role', String(NodeRole.MANAGER))
    .filter(({ spec }) => spec.desiredRole === NodeRole.WORKER)
    .filter(({ id }) => members.every(({ nodeId }) => nodeId !== id))
    .map(({ id }) => ({ do: 'set-role', nodeId: id, role: NodeRole.WORKER }));
}
