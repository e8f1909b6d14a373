import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { Group, Member, change, ofType } from './testing/group.ts';

test('[RAFT40] an up-to-date successor takes over at once, within the lease', () => {
  const group = new Group(3, { checkQuorum: true, preVote: true });
  const leader = group.elect(1n);
  leader.node.transferLeadership(3n);
  group.settle();
  assert.equal(group.member(3n).node.status().role, 'leader');
  assert.equal(leader.node.status().leader, 3n);
});

test('[RAFT40] one that is behind is brought up to date first', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  group.isolate(3n);
  group.propose(1n, 'x');
  leader.node.reportUnreachable(3n);
  leader.node.transferLeadership(3n);
  assert.deepEqual(ofType(leader.work(), MessageType.MsgTimeoutNow), []);
  assert.equal(leader.node.propose(Buffer.from('y'))?.code, 'PROPOSAL_DROPPED');
  const { lastIndex } = leader.node.status();
  const sent = leader.receive(MessageType.MsgAppResp, 3n, { index: lastIndex });
  assert.deepEqual(
    ofType(sent, MessageType.MsgTimeoutNow).map(({ to }) => to),
    [3n],
  );
});

test('[RAFT40] a follower passes the wish on', () => {
  const group = new Group(3);
  group.elect(1n);
  group.member(2n).node.transferLeadership(3n);
  group.settle();
  assert.equal(group.member(3n).node.status().role, 'leader');
  assert.deepEqual(new Member(1n, [1n, 2n]).work(), []);
});

test('[RAFT41] without effect it ends after an election timeout', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  group.isolate(3n);
  leader.node.transferLeadership(3n);
  group.tick(1n, 9);
  assert.equal(leader.node.propose(Buffer.from('x'))?.code, 'PROPOSAL_DROPPED');
  group.tick(1n, 1);
  assert.equal(leader.node.status().transferee, 0n);
  assert.equal(leader.node.propose(Buffer.from('x')), null);
});

test("[RAFT41] another name takes its place, the leader's own and a stranger's do not", () => {
  for (const [named, want] of [
    [2n, 2n],
    [3n, 3n],
    [1n, 0n],
    [9n, 3n],
  ] as const) {
    const leader = new Group(3).elect(1n);
    leader.node.transferLeadership(3n);
    leader.node.transferLeadership(named);
    assert.equal(leader.node.status().transferee, want);
  }
});

test('[RAFT41] the removal of the successor ends it', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  leader.node.proposeConfChange(change('remove', 3n));
  leader.work();
  leader.node.transferLeadership(3n);
  leader.receive(MessageType.MsgAppResp, 2n, { index: 3 });
  assert.deepEqual([leader.node.status().voters, leader.node.status().transferee], [[1n, 2n], 0n]);
});

test('[RAFT42] a follower that forgot its leader votes within the lease', () => {
  const group = new Group(3, { checkQuorum: true });
  const follower = group.elect(1n) && group.member(2n);
  const request = { term: 9, index: 9, logTerm: 9 };
  assert.deepEqual(follower.receive(MessageType.MsgVote, 3n, request), []);
  follower.node.forgetLeader();
  assert.equal(follower.node.status().leader, 0n);
  assert.equal(follower.receive(MessageType.MsgVote, 3n, request)[0]?.reject, false);
});

test('[RAFT42] not with lease-based reads, and a leader forgets nothing', () => {
  const group = new Group(3, { checkQuorum: true, readOnlyOption: 'lease-based' });
  group.elect(1n);
  for (const { node } of group.members.values()) {
    node.forgetLeader();
    assert.equal(node.status().leader, 1n);
  }
});
