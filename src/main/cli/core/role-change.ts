/** How far a promotion or a demotion has come, and what it waits for, from the nodes that a manager shows. */
import type { Node } from '../../../shared/wire/gen/objects.ts';
import {
  NodeRole,
  NodeStatusState,
  RaftMemberStatusReachability,
} from '../../../shared/wire/gen/types.ts';

export type RoleChange =
  | { readonly state: 'done' }
  /** `why` completes the sentence "it is not … yet: …". */
  | { readonly state: 'waiting'; readonly why: string }
  /** It will not happen any more. */
  | { readonly state: 'over'; readonly why: string };

const waiting = (why: string): RoleChange => ({ state: 'waiting', why });
const over = (why: string): RoleChange => ({ state: 'over', why });
const DONE: RoleChange = { state: 'done' };

const isReached = ({ managerStatus }: Node): boolean =>
  managerStatus?.reachability === RaftMemberStatusReachability.REACHABLE;

export function judgeRoleChange(
  nodes: readonly Node[],
  nodeId: string,
  wanted: NodeRole,
): RoleChange {
  const node = nodes.find(({ id }) => id === nodeId);
  if (node === undefined) return over('the node was removed');
  if (node.spec.desiredRole !== wanted) return over('its role was changed again meanwhile');
  return wanted === NodeRole.MANAGER ? judgePromotion(node) : judgeDemotion(nodes, node);
}

function judgePromotion(node: Node): RoleChange {
  if (node.role === NodeRole.MANAGER && isReached(node)) return DONE;
  if (node.status.state !== NodeStatusState.READY) {
    return waiting('the node is not ready; it becomes a manager when it is back');
  }
  if (node.role !== NodeRole.MANAGER) return waiting('the leader has not given it that role');
  const { managerStatus } = node;
  if (managerStatus !== undefined) {
    return waiting(`the managers do not reach it at ${managerStatus.addr}`);
  }
  return waiting(
    'it has not joined the managers; its own log tells what is in the way ' +
      '(others must reach it at its --listen-remote-api)',
  );
}

function judgeDemotion(nodes: readonly Node[], node: Node): RoleChange {
  if (node.managerStatus !== undefined) return waiting(whyStillMember(nodes, node));
  return node.role === NodeRole.WORKER ? DONE : waiting('the leader has not given it that role');
}

function whyStillMember(nodes: readonly Node[], node: Node): string {
  const others = nodes.filter((n) => n.managerStatus !== undefined && n.id !== node.id);
  const missing = others.filter((other) => !isReached(other));
  if (others.length - missing.length > others.length / 2) {
    const leads = node.managerStatus?.leader === true;
    return leads ? 'another manager has to lead first' : 'the leader has not removed it';
  }
  const names = missing.map(
    ({ id, description, managerStatus }) =>
      `${description?.hostname || id} (${managerStatus?.addr ?? ''})`,
  );
  return `the quorum would be lost with it: managers not reached: ${names.join(', ')}`;
}
