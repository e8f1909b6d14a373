import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EntryType, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Refusal } from './refusal.ts';
import { Group, Member, change, textOf } from './testing/group.ts';

const THREE = [1n, 2n, 3n];

const propose = (member: Member, content: string): Refusal | null =>
  member.node.propose(Buffer.from(content));

test('[RAFT30] the leader takes proposals and all apply them in order', () => {
  const group = new Group(3);
  group.elect(1n);
  for (const content of ['a', 'b']) group.propose(1n, content);
  group.member(1n).node.proposeBatch([Buffer.from('c'), Buffer.from('d')]);
  group.settle();
  for (const { applied } of group.members.values()) {
    assert.deepEqual(
      applied.map(({ data }) => textOf(data)),
      ['', 'a', 'b', 'c', 'd'],
    );
  }
});

test('[RAFT30] candidates and followers drop proposals', () => {
  const follower = new Member(1n, THREE);
  assert.equal(propose(follower, 'x')?.code, 'PROPOSAL_DROPPED');
  follower.receive(MessageType.MsgHeartbeat, 2n, { term: 2 });
  assert.equal(propose(follower, 'x')?.code, 'PROPOSAL_DROPPED');
  follower.node.campaign();
  assert.equal(propose(follower, 'x')?.code, 'PROPOSAL_DROPPED');
});

test('[RAFT30] a follower that is set to passes proposals on', () => {
  const group = new Group(3, { forwardProposals: true });
  assert.equal(propose(group.member(2n), 'x')?.code, 'PROPOSAL_DROPPED');
  group.elect(1n);
  group.propose(2n, 'x');
  assert.deepEqual(group.member(3n).log, ['2:', '2:x']);
});

test('[RAFT30] a leader that was removed drops proposals', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  leader.node.proposeConfChange(change('remove', 1n));
  group.settle();
  assert.equal(leader.node.status().role, 'leader');
  assert.equal(propose(leader, 'x')?.code, 'PROPOSAL_DROPPED');
});

test('[RAFT31] proposals stop at the limit of what is not applied, and go on after', () => {
  const group = new Group(3, { maxUncommittedEntriesSize: 10 });
  const leader = group.elect(1n);
  assert.equal(propose(leader, 'x'.repeat(50)), null, 'the first may be of any size');
  assert.equal(propose(leader, 'y')?.code, 'PROPOSAL_DROPPED');
  assert.equal(propose(leader, ''), null, 'nothing weighs nothing');
  group.settle();
  assert.equal(propose(leader, '12345'), null);
  assert.equal(propose(leader, '1234567')?.code, 'PROPOSAL_DROPPED');
  assert.equal(propose(leader, '12345'), null);
});

test('[RAFT32] a second configuration change becomes an empty entry', () => {
  const leader = new Group(3).elect(1n);
  leader.node.proposeConfChange(change('add', 4n));
  leader.node.proposeConfChange(change('add', 5n));
  leader.work();
  const [first, second] = leader.storage.entries(3, 5, Infinity) ?? [];
  assert.equal(first?.type, EntryType.EntryConfChange);
  assert.deepEqual([second?.type, second?.data], [EntryType.EntryNormal, undefined]);
});

test('[RAFT32] after the first is applied the next may come, or at once without validation', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  for (const id of [4n, 5n]) {
    leader.node.proposeConfChange(change('add', id));
    group.settle();
  }
  assert.deepEqual(leader.node.status().voters, [1n, 2n, 3n, 4n, 5n]);
  const lax = new Group(3, { disableConfChangeValidation: true }).elect(1n);
  lax.node.proposeConfChange(change('add', 4n));
  lax.node.proposeConfChange(change('add', 5n));
  lax.work();
  const types = (lax.storage.entries(3, 5, Infinity) ?? []).map(({ type }) => type);
  assert.deepEqual(types, [EntryType.EntryConfChange, EntryType.EntryConfChange]);
});

test('[RAFT32] a new leader waits until everything in its log is applied', () => {
  const leader = new Member(1n, THREE);
  leader.node.campaign();
  leader.work();
  leader.receive(MessageType.MsgVoteResp, 2n);
  leader.node.proposeConfChange(change('add', 4n));
  leader.work();
  assert.equal(leader.storage.entries(3, 4, Infinity)?.[0]?.type, EntryType.EntryConfChange);
  const late = new Member(1n, THREE, {
    entries: [{ type: EntryType.EntryConfChange, term: 1, index: 2, data: undefined }],
  });
  late.node.campaign();
  late.work();
  late.receive(MessageType.MsgVoteResp, 2n);
  late.node.proposeConfChange(change('add', 4n));
  late.work();
  assert.equal(late.storage.entries(4, 5, Infinity)?.[0]?.type, EntryType.EntryNormal);
});
