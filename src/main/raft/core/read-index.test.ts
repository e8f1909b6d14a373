import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { Group, Member, entriesOfTerms, ofType, textOf } from './testing/group.ts';
import type { MemberOptions } from './testing/group.ts';

const THREE = [1n, 2n, 3n];
const LEASE: MemberOptions = { checkQuorum: true, readOnlyOption: 'lease-based' };

/** Answers so far, as `context@index`. */
function readsOf(member: Member): readonly string[] {
  member.work();
  const states = member.history.flatMap(({ readStates }) => readStates);
  return states.map(({ index, context }) => `${textOf(context)}@${index}`);
}

const read = (member: Member, context: string): void => member.node.readIndex(Buffer.from(context));

/** A leader that has not committed in its term yet: nobody has stored its empty entry but itself. */
function youngLeader(options: MemberOptions = {}): Member {
  const leader = new Member(1n, THREE, options);
  leader.node.campaign();
  leader.work();
  leader.receive(MessageType.MsgVoteResp, 2n);
  return leader;
}

test('[RAFT36] a read is answered after a majority answered a later heartbeat', () => {
  const leader = new Group(3).elect(1n);
  read(leader, 'r');
  const beats = ofType(leader.work(), MessageType.MsgHeartbeat);
  assert.deepEqual(
    beats.map(({ to, context }) => [to, textOf(context)]),
    [
      [2n, 'r'],
      [3n, 'r'],
    ],
  );
  assert.deepEqual(readsOf(leader), []);
  leader.receive(MessageType.MsgHeartbeatResp, 2n);
  assert.deepEqual(readsOf(leader), [], 'an answer to an earlier heartbeat proves nothing');
  leader.receive(MessageType.MsgHeartbeatResp, 2n, { context: Buffer.from('r') });
  assert.deepEqual(readsOf(leader), ['r@2']);
});

test("[RAFT36] the index is that of the read's arrival", () => {
  const leader = new Group(3).elect(1n);
  read(leader, 'r');
  leader.propose('x');
  leader.receive(MessageType.MsgAppResp, 2n, { index: 3 });
  assert.equal(leader.node.status().commit, 3);
  leader.receive(MessageType.MsgHeartbeatResp, 2n, { context: Buffer.from('r') });
  assert.deepEqual(readsOf(leader), ['r@2']);
});

test('[RAFT36] one answer serves all earlier reads, none of the later ones', () => {
  const leader = new Group(3).elect(1n);
  for (const context of ['a', 'b', 'c']) read(leader, context);
  leader.work();
  leader.receive(MessageType.MsgHeartbeatResp, 3n, { context: Buffer.from('b') });
  assert.deepEqual(readsOf(leader), ['a@2', 'b@2']);
  const [beat] = ofType(leader.tick(1), MessageType.MsgHeartbeat);
  assert.equal(textOf(beat?.context), 'c', 'the next heartbeats still carry what waits');
  leader.receive(MessageType.MsgHeartbeatResp, 3n, { context: Buffer.from('c') });
  assert.equal(ofType(leader.tick(1), MessageType.MsgHeartbeat)[0]?.context, undefined);
});

test('[RAFT36] answers of strangers to the configuration do not count', () => {
  const group = new Group(5);
  const leader = group.elect(1n);
  read(leader, 'r');
  leader.work();
  const context = Buffer.from('r');
  leader.receive(MessageType.MsgHeartbeatResp, 2n, { context });
  leader.receive(MessageType.MsgHeartbeatResp, 2n, { context });
  assert.deepEqual(readsOf(leader), []);
  leader.receive(MessageType.MsgHeartbeatResp, 3n, { context });
  assert.deepEqual(readsOf(leader), ['r@2']);
});

test('[RAFT37] a sole voter answers at once, and so does a leader that trusts its lease', () => {
  for (const leader of [new Group(1).elect(1n), new Group(3, LEASE).elect(1n)]) {
    read(leader, 'r');
    assert.deepEqual(readsOf(leader), ['r@2']);
  }
});

test('[RAFT38] reads before the first commit of the term wait for it', () => {
  for (const options of [{}, LEASE]) {
    const leader = youngLeader(options);
    read(leader, 'r');
    assert.deepEqual(ofType(leader.work(), MessageType.MsgHeartbeat), []);
    leader.receive(MessageType.MsgAppResp, 2n, { index: 2 });
    leader.receive(MessageType.MsgHeartbeatResp, 2n, { context: Buffer.from('r') });
    assert.deepEqual(readsOf(leader), ['r@2']);
  }
});

test('[RAFT38] a sole voter waits too, for what its lost commit mark may have covered', () => {
  const node = new Member(1n, [1n], { entries: entriesOfTerms(1, 1), hardState: { commit: 1 } });
  node.node.campaign();
  node.settle(node.node.ready());
  assert.equal(node.node.status().role, 'leader');
  read(node, 'r');
  const ready = node.node.ready();
  assert.deepEqual(ready.readStates, []);
  node.settle(ready);
  assert.deepEqual(readsOf(node), ['r@4']);
});

test('[RAFT39] a follower passes reads on and gets the answer', () => {
  for (const options of [{}, LEASE]) {
    const group = new Group(3, options);
    group.elect(1n);
    read(group.member(3n), 'r');
    group.settle();
    assert.deepEqual(readsOf(group.member(3n)), ['r@2']);
    assert.deepEqual(readsOf(group.member(1n)), []);
  }
});

test('[RAFT39] without a leader, and with the leader gone, reads are lost', () => {
  const node = new Member(1n, THREE);
  read(node, 'r');
  assert.equal(node.node.hasReady(), false);
  const leader = new Group(3).elect(1n);
  read(leader, 'r');
  leader.work();
  leader.receive(MessageType.MsgHeartbeat, 2n, { term: 9 });
  leader.receive(MessageType.MsgHeartbeatResp, 2n, { context: Buffer.from('r') });
  assert.deepEqual(readsOf(leader), []);
});
