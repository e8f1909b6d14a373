import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node } from '../../../shared/wire/gen/objects.ts';
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import { type Group, type NodesView, plan, type Plan } from './plan.ts';

const { MANAGER, WORKER } = NodeRole;

const roleOf = (letter: string | undefined): NodeRole => (letter === 'm' ? MANAGER : WORKER);

/** Nodes as `observed>desired`, `m` for manager; members by the names of their nodes, the leader first. */
function planOf(
  nodes: Readonly<Record<string, string>>,
  members: readonly string[],
  stays: readonly string[] = [],
): Plan {
  const all = Object.entries(nodes).map(([id, roles]) =>
    Node.create({ id, role: roleOf(roles[0]), spec: { desiredRole: roleOf(roles[2]) } }),
  );
  const view: NodesView = {
    nodes: {
      get: (id) => all.find((node) => node.id === id),
      find: (_index, key) => all.filter((node) => String(node.role) === key),
    },
  };
  const group: Group = {
    members: members.map((nodeId, i) => ({ raftId: BigInt(i + 1), nodeId })),
    self: 1n,
    canRemove: (raftId) => !stays.includes(members[Number(raftId) - 1] ?? ''),
  };
  return plan(view, group, new Set(Object.keys(nodes)));
}

/** A plan in words. */
const words = ({ steps, waiting }: Plan): string =>
  [
    ...steps.map((step) => {
      if (step.do === 'set-role') return `${step.nodeId} is ${step.role === MANAGER ? 'm' : 'w'}`;
      return step.do === 'remove' ? `remove ${step.member.nodeId}` : 'hand over';
    }),
    ...waiting.map(({ nodeId }) => `${nodeId} waits`),
  ].join(', ');

test('nothing is to be done where all are what they should be', () => {
  assert.equal(words(planOf({ a: 'm>m', b: 'm>m', c: 'w>w' }, ['a', 'b'])), '');
});

test('[ROLE1] a node that should be a manager has that role at once', () => {
  assert.equal(words(planOf({ a: 'm>m', b: 'w>m', c: 'w>w' }, ['a'])), 'b is m');
});

test('[ROLE2] a node that should be a worker is one once it is no member', () => {
  const nodes = { a: 'm>m', b: 'm>w', c: 'm>m' };
  assert.equal(words(planOf(nodes, ['a', 'b', 'c'])), 'remove b');
  assert.equal(words(planOf(nodes, ['a', 'c'])), 'b is w');
});

test('[ROLE3] members leave one at a time, and none with whom the quorum would go', () => {
  const nodes = { a: 'm>m', b: 'm>w', c: 'm>w', d: 'm>m' };
  assert.equal(words(planOf(nodes, ['a', 'b', 'c', 'd'])), 'remove b');
  assert.equal(words(planOf(nodes, ['a', 'b', 'c', 'd'], ['b'])), 'remove c, b waits');
  assert.equal(words(planOf(nodes, ['a', 'b', 'c', 'd'], ['b', 'c'])), 'b waits, c waits');
});

test('[ROLE3] members whose node is gone, or was never meant to be a manager, go', () => {
  assert.equal(words(planOf({ a: 'm>m' }, ['a', 'gone'])), 'remove gone');
  assert.equal(words(planOf({ a: 'm>m', b: 'w>w' }, ['a', 'b'])), 'remove b');
});

test('[ROLE4] the leader goes last, and lets another lead first', () => {
  const nodes = { a: 'm>w', b: 'm>w', c: 'm>m' };
  assert.equal(words(planOf(nodes, ['a', 'b', 'c'])), 'remove b');
  assert.equal(words(planOf(nodes, ['a', 'c'])), 'b is w, hand over');
  assert.equal(words(planOf(nodes, ['a', 'c'], ['a'])), 'b is w, a waits');
});
