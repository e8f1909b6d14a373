import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { Group, type MemberOptions } from './testing/group.ts';

/** As a manager is set. */
const SETTINGS: MemberOptions = { checkQuorum: true, preVote: true };

/** A group whose first member leads. */
function led(size: number, settings: MemberOptions = SETTINGS): Group {
  const group = new Group(size, settings);
  group.elect(1n);
  return group;
}

const roles = (group: Group): string[] =>
  [...group.members.values()].map(({ node }) => node.status().role);

test('[RAFT49] followers of a leader that is gone elect another without waiting for their timeout', () => {
  const group = led(3);
  group.isolate(1n);
  for (const id of [2n, 3n]) group.member(id).node.reportGone(1n);
  assert.equal(group.member(2n).node.status().leader, 0n);
  for (let ticks = 0; ticks < 2; ticks += 1) for (const id of [2n, 3n]) group.tick(id, 1);
  assert.deepEqual(roles(group).slice(1), ['leader', 'follower']);
  assert.equal(group.member(3n).node.status().leader, 2n);
});

test('[RAFT49] where one follower cannot win, the next has its turn, with nothing lost', () => {
  const group = new Group(5, SETTINGS);
  group.elect(1n);
  // The first in turn is gone too, and the second is behind.
  group.passes = ({ from, to }) => ![from, to].some((id) => id === 2n || id === 3n);
  group.propose(1n, 'late');
  group.passes = ({ from, to }) => ![from, to].some((id) => id === 1n || id === 2n);
  const left = [3n, 4n, 5n];
  for (const id of left) group.member(id).node.reportGone(1n);
  for (let ticks = 0; ticks < 6; ticks += 1) for (const id of left) group.tick(id, 1);
  assert.equal(group.member(4n).node.status().role, 'leader');
  assert.deepEqual(group.member(3n).log, group.member(4n).log);
});

test('[RAFT49] a leader that lives is learned of again, and nobody stands', () => {
  const group = led(3);
  for (const id of [2n, 3n]) group.member(id).node.reportGone(1n);
  const { term } = group.member(1n).node.status();
  for (let ticks = 0; ticks < 30; ticks += 1) for (const id of [1n, 2n, 3n]) group.tick(id, 1);
  assert.deepEqual(roles(group), ['leader', 'follower', 'follower']);
  assert.equal(group.member(3n).node.status().leader, 1n);
  assert.equal(group.member(3n).node.status().term, term);
});

test('[RAFT49] one follower alone does not unseat a leader that the others hear', () => {
  const group = led(3);
  group.member(3n).node.reportGone(1n);
  // Nothing of the leader arrives there any more; the other one has the leader's lease.
  group.passes = ({ from, to }) => !(from === 1n && to === 3n);
  for (let ticks = 0; ticks < 40; ticks += 1) for (const id of [1n, 2n, 3n]) group.tick(id, 1);
  assert.equal(group.member(1n).node.status().role, 'leader');
});

test('[RAFT49] it means nothing of another, to a leader, or where reads stand on the lease', () => {
  const group = led(3);
  const follower = group.member(2n);
  follower.node.reportGone(3n);
  assert.equal(follower.node.status().leader, 1n);
  group.member(1n).node.reportGone(1n);
  assert.equal(group.member(1n).node.status().role, 'leader');
  const leased = led(3, { ...SETTINGS, readOnlyOption: 'lease-based' });
  leased.member(2n).node.reportGone(1n);
  leased.member(2n).tick(5);
  assert.equal(leased.member(2n).node.status().leader, 1n);
});

test('[RAFT49] a vote for another, and every new term, take the turn back', () => {
  const group = led(3);
  const node = group.member(3n);
  node.node.reportGone(1n);
  const { term } = node.node.status();
  node.receive(MessageType.MsgVote, 2n, { term: term + 1, index: 99, logTerm: term });
  node.tick(8);
  assert.equal(node.node.status().role, 'follower');
});
