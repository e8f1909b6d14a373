import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { Group, Member, change, ofType } from './testing/group.ts';

const THREE = [1n, 2n, 3n];

test('[RAFT5] a silent election timeout, spread by luck, starts an election', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 20 }), fc.nat(1000), (electionTicks, luck) => {
      const limits: number[] = [];
      const randBelow = (limit: number): number => {
        limits.push(limit);
        return luck % limit;
      };
      const node = new Member(1n, THREE, { electionTicks, randBelow });
      const timeout = electionTicks + (luck % electionTicks);
      assert.deepEqual(node.tick(timeout - 1), []);
      assert.equal(ofType(node.tick(1), MessageType.MsgVote).length, 2);
      assert.ok(limits.every((limit) => limit === electionTicks));
      assert.ok(limits.length >= 2, 'the timeout is drawn anew for the new term');
    }),
  );
});

test('[RAFT5] a word of the leader, or a vote given, starts the wait anew', () => {
  for (const type of [MessageType.MsgHeartbeat, MessageType.MsgApp, MessageType.MsgVote]) {
    const node = new Member(1n, THREE);
    node.tick(9);
    node.receive(type, 2n, { index: 1, logTerm: 1 });
    assert.deepEqual(node.tick(9), []);
    assert.notDeepEqual(node.tick(1), []);
  }
});

test('[RAFT5] a leader sends heartbeats every heartbeatTicks', () => {
  const group = new Group(3, { heartbeatTicks: 3 });
  const leader = group.elect(1n);
  assert.deepEqual(leader.tick(2), []);
  assert.equal(ofType(leader.tick(1), MessageType.MsgHeartbeat).length, 2);
});

test('[RAFT9] a leader that hears no majority steps down within two election timeouts', () => {
  const group = new Group(3, { checkQuorum: true });
  const leader = group.elect(1n);
  group.isolate(3n);
  group.tick(1n, 40);
  assert.equal(leader.node.status().role, 'leader', 'two of three are a majority');
  group.isolate(1n);
  group.tick(1n, 20);
  const { role, leader: known } = leader.node.status();
  assert.deepEqual([role, known], ['follower', 0n]);
});

test('[RAFT9] without quorum checks it stays', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  group.isolate(1n);
  group.tick(1n, 100);
  assert.equal(leader.node.status().role, 'leader');
});

test('[RAFT9] a member just added counts as heard until the next check', () => {
  const group = new Group(1, { checkQuorum: true });
  const leader = group.elect(1n);
  leader.tick(9);
  assert.equal(leader.node.proposeConfChange(change('add', 2n)), null);
  leader.work();
  leader.tick(1);
  assert.equal(leader.node.status().role, 'leader');
  leader.tick(10);
  assert.equal(leader.node.status().role, 'follower');
});
