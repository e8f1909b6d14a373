import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node } from '../../../shared/wire/gen/objects.ts';
import {
  NodeRole,
  NodeStatusState,
  RaftMemberStatusReachability,
} from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { judgeRoleChange } from './role-change.ts';

const { MANAGER, WORKER } = NodeRole;
const { REACHABLE, UNREACHABLE } = RaftMemberStatusReachability;

const node = (id: string, role: NodeRole, desiredRole: NodeRole, rest: Init<Node> = {}): Node =>
  Node.create({
    id,
    role,
    spec: { desiredRole },
    description: { hostname: `host-${id}` },
    status: { state: NodeStatusState.READY },
    ...rest,
  });
const member = (reachability: RaftMemberStatusReachability, leader = false) => ({
  managerStatus: { raftId: 1n, addr: 'h:1', leader, reachability },
});

const judged = (wanted: NodeRole, ...nodes: readonly Node[]): string => {
  const change = judgeRoleChange(nodes, 'n', wanted);
  return change.state === 'done' ? 'done' : `${change.state}: ${change.why}`;
};

test('a promotion is done when the managers reach the new one', () => {
  const promoted = (role: NodeRole, rest?: Init<Node>): string =>
    judged(MANAGER, node('n', role, MANAGER, rest));
  assert.match(promoted(WORKER), /^waiting: the leader has not given/);
  assert.match(promoted(MANAGER), /^waiting: it has not joined the managers; its own log/);
  assert.match(promoted(MANAGER, member(UNREACHABLE)), /^waiting: .* do not reach it at h:1$/);
  assert.equal(promoted(MANAGER, member(REACHABLE)), 'done');
  const down = { status: { state: NodeStatusState.DOWN } };
  assert.match(promoted(MANAGER, down), /^waiting: the node is not ready/);
});

test('a demotion is done when the node is no member and a worker', () => {
  const others = ['a', 'b'].map((id) => node(id, MANAGER, MANAGER, member(REACHABLE)));
  const demoted = (role: NodeRole, rest?: Init<Node>): string =>
    judged(WORKER, node('n', role, WORKER, rest), ...others);
  assert.match(demoted(MANAGER, member(REACHABLE, true)), /another manager has to lead first/);
  assert.match(demoted(MANAGER, member(REACHABLE)), /the leader has not removed it/);
  assert.match(demoted(MANAGER), /^waiting: the leader has not given/);
  assert.equal(demoted(WORKER), 'done');
  others[1] = node('b', MANAGER, MANAGER, member(UNREACHABLE));
  assert.equal(
    demoted(MANAGER, member(REACHABLE)),
    'waiting: the quorum would be lost with it: managers not reached: host-b (h:1)',
  );
});

test('a change that somebody took back, or whose node is gone, is over', () => {
  assert.equal(judged(MANAGER), 'over: the node was removed');
  assert.match(judged(MANAGER, node('n', WORKER, WORKER)), /^over: its role was changed again/);
});
