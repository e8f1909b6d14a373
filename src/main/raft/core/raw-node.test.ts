import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { encodedBytes } from './entry-size.ts';
import { foundingLog } from './founding.ts';
import { MemoryStorage } from './memory-storage.ts';
import { RawNode } from './raw-node.ts';
import { Group, Member, change, entriesOfTerms, entryOf, ofType } from './testing/group.ts';

const THREE = [1n, 2n, 3n];
const LAST = { index: 1, logTerm: 1 };

function append(to: bigint, term: number, from: number, count: number): Message {
  const entries = Array.from({ length: count }, (_, at) => entryOf(term, from + at));
  const previous = { index: from - 1, logTerm: from === 2 ? 1 : term };
  return Message.create({ type: MessageType.MsgApp, from: 1n, to, term, entries, ...previous });
}

test('[RAFT24] answers that promise wait for the disk, other messages do not', () => {
  const leader = new Group(3).elect(1n);
  leader.node.propose(Buffer.from('x'));
  const proposed = leader.node.ready();
  assert.deepEqual(
    [proposed.sendNow.map(({ type }) => type), proposed.sendAfterPersist],
    [[MessageType.MsgApp, MessageType.MsgApp], []],
  );
  const follower = new Member(2n, THREE);
  follower.node.step(append(2n, 2, 2, 1));
  const accepted = follower.node.ready();
  assert.deepEqual(accepted.sendNow, []);
  assert.deepEqual(
    accepted.sendAfterPersist.map(({ type }) => type),
    [MessageType.MsgAppResp],
  );
  const voter = new Member(2n, THREE);
  const request = { type: MessageType.MsgVote, from: 1n, to: 2n, term: 2, ...LAST };
  voter.node.step(Message.create(request));
  const voted = voter.node.ready();
  assert.deepEqual(voted.sendNow, []);
  assert.deepEqual(
    voted.sendAfterPersist.map(({ type }) => type),
    [MessageType.MsgVoteResp],
  );
});

test('[RAFT24] a request for votes waits too, for the entries that it speaks of', () => {
  const node = new Member(2n, THREE);
  node.node.step(append(2n, 2, 2, 1));
  node.node.campaign();
  const ready = node.node.ready();
  assert.deepEqual([ready.persist.entries.length, ready.sendNow], [1, []]);
  const requests = ofType(ready.sendAfterPersist, MessageType.MsgVote);
  assert.deepEqual(
    requests.map(({ index }) => index),
    [2, 2],
  );
});

test('[RAFT24] what a node says to itself never leaves it', () => {
  const leader = new Group(3).elect(1n);
  leader.propose('x');
  leader.node.forgetLeader();
  for (const { sendNow, sendAfterPersist } of leader.history) {
    assert.ok([...sendNow, ...sendAfterPersist].every(({ to }) => to !== 1n));
  }
});

test('[RAFT25] a commit mark alone need not be synced, everything else must be', () => {
  const group = new Group(3);
  group.elect(1n);
  group.propose(1n, 'x');
  const all = [...group.members.values()].flatMap(({ history }) => history);
  assert.ok(all.some(({ persist }) => persist.mustSync && persist.entries.length > 0));
  const marks = all.filter(({ persist }) => persist.hardState !== null && !persist.mustSync);
  assert.ok(marks.length > 0);
  assert.ok(marks.every(({ persist }) => persist.entries.length === 0));
  const terms = marks.map(({ persist }) => persist.hardState?.term);
  assert.deepEqual(new Set(terms), new Set([2]));
});

test('[RAFT24] [RAFT25] a configuration is sure to be kept before anyone is told', () => {
  const leader = new Group(3).elect(1n);
  leader.node.proposeConfChange(change('remove', 3n));
  leader.work();
  leader.receive(MessageType.MsgAppResp, 2n, { index: 3 });
  const ready = leader.history.find(({ committed }) => committed.at(-1)?.index === 3);
  assert.deepEqual(
    ready?.committed.map(({ index }) => index),
    [3],
  );
  assert.deepEqual([ready.persist.mustSync, ready.sendNow], [true, []]);
  assert.deepEqual(
    ready.sendAfterPersist.map(({ commit }) => commit),
    [3, 3],
  );
});

test('[RAFT25] a new term, a vote and a snapshot must be synced', () => {
  const node = new Member(2n, THREE);
  const step = (init: Parameters<typeof Message.create>[0]): boolean => {
    node.node.step(Message.create({ from: 1n, to: 2n, ...init }));
    const ready = node.node.ready();
    node.settle(ready);
    return ready.persist.mustSync;
  };
  assert.equal(step({ type: MessageType.MsgHeartbeat, term: 2 }), true);
  assert.equal(step({ type: MessageType.MsgHeartbeat, term: 2 }), false);
  node.node.forgetLeader();
  assert.equal(step({ type: MessageType.MsgVote, term: 2, ...LAST }), true);
  const metadata = { index: 9, term: 2, confState: { voters: THREE } };
  assert.equal(step({ type: MessageType.MsgSnap, term: 2, snapshot: { metadata } }), true);
});

test('[RAFT26] committed entries come once, in order and in limited portions', () => {
  const bytesMax = encodedBytes(entryOf(1, 2)) * 2;
  const entries = entriesOfTerms(1, 1, 1, 1, 1);
  const hardState = { commit: 6 };
  const node = new Member(2n, THREE, { entries, hardState, maxCommittedSizePerReady: bytesMax });
  node.work();
  const portions = node.history.map(({ committed }) => committed.map(({ index }) => index));
  assert.deepEqual(portions, [[2, 3], [4, 5], [6]]);
  const tiny = new Member(2n, THREE, { entries, hardState, maxCommittedSizePerReady: 1 });
  tiny.work();
  assert.deepEqual(tiny.applied, entries);
});

test('[RAFT26] nothing is given to apply before a snapshot is stored', () => {
  const node = new Member(2n, THREE, { entries: entriesOfTerms(1), hardState: { commit: 2 } });
  const metadata = { index: 9, term: 2, confState: { voters: THREE } };
  const init = { from: 1n, to: 2n, term: 2, commit: 10 };
  node.node.step(Message.create({ ...init, type: MessageType.MsgSnap, snapshot: { metadata } }));
  node.node.step({ ...append(2n, 2, 10, 1), commit: 10 });
  node.work();
  const [first, second] = node.history;
  assert.deepEqual([first?.persist.snapshot?.metadata.index, first?.committed], [9, []]);
  assert.deepEqual(
    second?.committed.map(({ index }) => index),
    [10],
  );
});

test('[RAFT27] one Ready at a time', () => {
  const node = new Member(1n, [1n]);
  node.node.campaign();
  assert.equal(node.node.hasReady(), true);
  const ready = node.node.ready();
  assert.equal(node.node.hasReady(), false);
  assert.throws(() => node.node.ready(), /not settled/);
  node.settle(ready);
  assert.throws(() => node.node.advance(), /no Ready/);
});

test('[RAFT27] a quiet node has nothing to say', () => {
  const node = new Member(1n, THREE);
  assert.equal(node.node.hasReady(), false);
  const { persist, sendNow, sendAfterPersist, committed } = node.node.ready();
  assert.deepEqual([sendNow, sendAfterPersist, committed], [[], [], []]);
  assert.deepEqual(persist, { hardState: null, snapshot: null, entries: [], mustSync: false });
});

test('[RAFT27] entries replaced while they were being stored are given again', () => {
  const follower = new Member(2n, THREE);
  follower.node.step(append(2n, 2, 2, 3));
  const ready = follower.node.ready();
  const entries = [entryOf(3, 3)];
  follower.node.step(
    Message.create({ ...append(2n, 3, 3, 0), from: 3n, index: 2, logTerm: 2, entries }),
  );
  follower.settle(ready);
  follower.work();
  assert.deepEqual(follower.log, ['2:', '3:']);
  assert.deepEqual(follower.history.at(-1)?.persist.entries.at(-1), entryOf(3, 3));
});

test('[RAFT28] a restart resumes from what was stored and applied', () => {
  const storage = new MemoryStorage();
  storage.append(entriesOfTerms(1, 1, 2, 2).map((entry) => ({ ...entry, index: entry.index - 1 })));
  storage.setHardState({ term: 2, vote: 3n, commit: 3 });
  const node = new RawNode({ id: 1n, storage, randBelow: () => 0, applied: 2 });
  const { term, vote, commit, applied, role } = node.status();
  assert.deepEqual([term, vote, commit, applied, role], [2, 3n, 3, 2, 'follower']);
  assert.deepEqual(
    node.ready().committed.map(({ index }) => index),
    [3],
  );
});

test('[RAFT28] what was applied was committed, even if the stored mark is older', () => {
  const storage = new MemoryStorage();
  storage.append([entryOf(1, 1), entryOf(1, 2)]);
  storage.setHardState({ term: 1, vote: 0n, commit: 0 });
  const node = new RawNode({ id: 1n, storage, randBelow: () => 0, applied: 2 });
  assert.deepEqual([node.status().commit, node.ready().committed], [2, []]);
});

test('[RAFT28] settings that cannot work together are a bug of the caller', () => {
  const settings = { id: 1n, storage: new MemoryStorage(), randBelow: (): number => 0 };
  for (const wrong of [
    { id: 0n },
    { heartbeatTicks: 10 },
    { heartbeatTicks: 0 },
    { maxInflightMsgs: 0 },
    { maxInflightBytes: 5 },
    { readOnlyOption: 'lease-based', checkQuorum: false },
  ] as const) {
    assert.throws(() => new RawNode({ ...settings, ...wrong }), { code: 'ERR_ASSERTION' });
  }
});

test('[RAFT29] the founder adds itself, and then may lead', () => {
  const { hardState, entries } = foundingLog(7n, Buffer.from('me'));
  const founder = new Member(7n, [], { hardState, entries });
  founder.work();
  assert.deepEqual([founder.applied, founder.node.status().voters], [entries, [7n]]);
  founder.node.campaign();
  founder.work();
  const { role, term, commit } = founder.node.status();
  assert.deepEqual([role, term, commit], ['leader', 2, 2]);
});

test('[RAFT45] messages to oneself do not come from outside', () => {
  const node = new Member(1n, THREE);
  for (const type of [
    MessageType.MsgHup,
    MessageType.MsgBeat,
    MessageType.MsgCheckQuorum,
    MessageType.MsgUnreachable,
    MessageType.MsgSnapStatus,
    MessageType.MsgStorageAppendResp,
  ]) {
    const message = Message.create({ type, from: 1n, to: 1n, term: 9 });
    assert.equal(node.node.step(message)?.code, 'LOCAL_MESSAGE');
  }
  assert.equal(node.node.hasReady(), false);
});

test('[RAFT45] answers of strangers change nothing', () => {
  const node = new Member(1n, THREE);
  for (const type of [
    MessageType.MsgAppResp,
    MessageType.MsgVoteResp,
    MessageType.MsgHeartbeatResp,
  ]) {
    const message = Message.create({ type, from: 9n, to: 1n, term: 9 });
    assert.equal(node.node.step(message)?.code, 'PEER_NOT_FOUND');
  }
  assert.equal(node.node.status().term, 1);
});

test('[RAFT45] an append whose entries do not follow each other is refused', () => {
  const node = new Member(2n, THREE);
  for (const entries of [
    [entryOf(2, 3)],
    [entryOf(2, 2), entryOf(2, 4)],
    [entryOf(2, 2), entryOf(1, 3)],
    [entryOf(3, 2)],
    [entryOf(0, 2)],
  ]) {
    const message = { ...append(2n, 2, 2, 0), entries };
    assert.equal(node.node.step(message)?.code, 'MALFORMED_MESSAGE');
  }
  const empty = Message.create({ type: MessageType.MsgProp, from: 1n, to: 2n });
  assert.equal(node.node.step(empty)?.code, 'MALFORMED_MESSAGE');
  assert.equal(node.node.hasReady(), false);
});
