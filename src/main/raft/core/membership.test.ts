import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  ConfChange,
  ConfChangeType,
  EntryType,
  Message,
  MessageType,
} from '../../../shared/wire/gen/raftpb.ts';
import { changed, fromConfState, toConfState } from './configuration.ts';
import { ConfigurationError } from './refusal.ts';
import { Group, Member, change } from './testing/group.ts';

test('[RAFT33] learners, joint changes and unknown kinds are refused when proposed', () => {
  const leader = new Group(3).elect(1n);
  const { lastIndex } = leader.node.status();
  const learner = ConfChangeType.ConfChangeAddLearnerNode;
  const kindNine = ConfChange.decode(Uint8Array.of(0x10, 9, 0x18, 4));
  for (const wrong of [ConfChange.create({ type: learner, nodeId: 4n }), kindNine]) {
    const refusal = leader.node.proposeConfChange(wrong);
    assert.equal(refusal?.code, 'CONF_CHANGE_UNSUPPORTED');
    assert.match(refusal.detail, /add, remove or update one voter/);
  }
  const entries = [{ type: EntryType.EntryConfChangeV2, data: new Uint8Array() }];
  const joint = Message.create({ type: MessageType.MsgProp, from: 2n, to: 1n, entries });
  assert.equal(leader.node.step(joint)?.code, 'CONF_CHANGE_UNSUPPORTED');
  assert.equal(leader.node.status().lastIndex, lastIndex);
});

test('[RAFT33] nor may the last voter be removed', () => {
  const leader = new Group(1).elect(1n);
  const refusal = leader.node.proposeConfChange(change('remove', 1n));
  assert.equal(refusal?.code, 'CONF_CHANGE_LEAVES_NOBODY');
  assert.throws(() => leader.node.applyConfChange(change('remove', 1n)), ConfigurationError);
});

test('[RAFT33] a stored configuration that is not of voters alone is not started from', () => {
  for (const wrong of [{ learners: [4n] }, { votersOutgoing: [4n] }, { learnersNext: [4n] }]) {
    const state = { ...toConfState([1n]), ...wrong };
    assert.throws(() => fromConfState(state), { code: 'CONF_CHANGE_UNSUPPORTED' });
  }
});

test('[RAFT34] changes act on the voters as on a set, sorted', () => {
  const kind = fc.constantFrom('add', 'remove', 'update');
  const script = fc.array(fc.record({ kind, id: fc.bigInt({ min: 0n, max: 6n }) }));
  fc.assert(
    fc.property(script, (steps) => {
      let voters: readonly bigint[] = [3n];
      const twin = new Set([3n]);
      for (const { kind: what, id } of steps) {
        if (what === 'remove' && twin.size === 1) continue;
        voters = changed(voters, change(what, id));
        if (what === 'add' && id !== 0n) twin.add(id);
        if (what === 'remove') twin.delete(id);
        assert.deepEqual(
          voters,
          [...twin].toSorted((a, b) => Number(a - b)),
        );
      }
    }),
  );
});

test('[RAFT34] who stays keeps its progress, and a new member gets entries at once', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  const before = leader.node.status().progress.get(2n);
  leader.node.proposeConfChange(change('add', 4n));
  leader.work();
  leader.receive(MessageType.MsgAppResp, 2n, { index: 3 });
  const { progress } = leader.node.status();
  assert.deepEqual([before?.state, progress.get(2n)?.match], ['replicate', 3]);
  assert.deepEqual([progress.get(4n)?.state, progress.get(4n)?.recentActive], ['probe', true]);
  const sent = leader.history.flatMap(({ sendNow }) => sendNow).filter(({ to }) => to === 4n);
  assert.deepEqual(
    sent.map(({ type }) => type),
    [MessageType.MsgApp],
  );
});

test('[RAFT34] a removal commits what the smaller majority has', () => {
  const leader = new Group(3).elect(1n);
  leader.propose('x');
  leader.node.proposeConfChange(change('remove', 3n));
  leader.work();
  leader.receive(MessageType.MsgAppResp, 2n, { index: 4 });
  assert.deepEqual(leader.node.status().voters, [1n, 2n]);
  leader.node.proposeConfChange(change('remove', 2n));
  leader.propose('y');
  leader.receive(MessageType.MsgAppResp, 2n, { index: 5 });
  const { voters, commit, lastIndex } = leader.node.status();
  assert.deepEqual([voters, commit, lastIndex], [[1n], 6, 6]);
});

test('[RAFT35] a leader that removed itself goes on, not counting itself', () => {
  const group = new Group(3);
  const leader = group.elect(1n);
  leader.node.proposeConfChange(change('remove', 1n));
  leader.propose('x');
  leader.receive(MessageType.MsgAppResp, 2n, { index: 3 });
  assert.deepEqual([leader.node.status().role, leader.node.status().commit], ['leader', 3]);
  leader.receive(MessageType.MsgAppResp, 2n, { index: 4 });
  assert.equal(leader.node.status().commit, 3, 'one of two others is no majority');
  leader.receive(MessageType.MsgAppResp, 3n, { index: 4 });
  assert.equal(leader.node.status().commit, 4);
});

test('[RAFT35] or it steps down where it is set to', () => {
  const leader = new Group(3, { stepDownOnRemoval: true }).elect(1n);
  leader.node.proposeConfChange(change('remove', 1n));
  leader.work();
  leader.receive(MessageType.MsgAppResp, 2n, { index: 3 });
  const { role, leader: known } = leader.node.status();
  assert.deepEqual([role, known], ['follower', 0n]);
  assert.deepEqual(leader.tick(50), [], 'and stands for nothing any more');
});

test('[RAFT34] a node that applies its own addition becomes a voter', () => {
  const joined = new Member(2n, []);
  assert.deepEqual(joined.node.applyConfChange(change('add', 2n)), toConfState([2n]));
  joined.node.campaign();
  joined.work();
  assert.equal(joined.node.status().role, 'leader');
});
