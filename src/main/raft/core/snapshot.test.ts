import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message, Snapshot } from '../../../shared/wire/gen/raftpb.ts';
import { toConfState } from './configuration.ts';
import { Group, Member, entriesOfTerms, ofType } from './testing/group.ts';

const THREE = [1n, 2n, 3n];

function snapshotAt(index: number, term: number, voters = THREE): Snapshot {
  return { data: Buffer.from('state'), metadata: { index, term, confState: toConfState(voters) } };
}

/** A leader of three whose log is compacted up to 4, and that lost sight of member 3. */
function compactedGroup(): Group {
  const group = new Group(3);
  group.isolate(3n);
  const leader = group.elect(1n);
  for (const content of ['a', 'b', 'c']) group.propose(1n, content);
  leader.storage.createSnapshot(4, toConfState(THREE), Buffer.from('state'));
  leader.storage.compact(4);
  return group;
}

function snapshotsOf(messages: readonly Message[]): readonly (number | undefined)[] {
  return ofType(messages, MessageType.MsgSnap).map(({ snapshot }) => snapshot?.metadata.index);
}

test('[RAFT20] who needs compacted entries gets a snapshot, once it gives a sign of life', () => {
  const leader = compactedGroup().member(1n);
  leader.node.reportUnreachable(3n);
  assert.deepEqual(snapshotsOf(leader.propose('d')), []);
  assert.deepEqual(snapshotsOf(leader.receive(MessageType.MsgHeartbeatResp, 3n)), [4]);
  const { state, pendingSnapshot } = leader.node.status().progress.get(3n)!;
  assert.deepEqual([state, pendingSnapshot], ['snapshot', 4]);
});

test('[RAFT20] no append goes while a snapshot is on its way', () => {
  const leader = compactedGroup().member(1n);
  leader.receive(MessageType.MsgHeartbeatResp, 3n);
  const sent = [...leader.propose('e'), ...leader.receive(MessageType.MsgHeartbeatResp, 3n)];
  assert.deepEqual(
    sent.filter(({ to }) => to === 3n),
    [],
  );
});

test('[RAFT20] a follower catches up through a snapshot and the log after it', () => {
  const group = compactedGroup();
  group.heal();
  group.tick(1n, 2);
  const [leader, follower] = [group.member(1n), group.member(3n)];
  assert.deepEqual(leader.node.status().progress.get(3n)?.state, 'replicate');
  assert.deepEqual([follower.storage.snapshot()?.metadata.index, follower.log], [4, ['2:c']]);
  assert.equal(follower.node.status().applied, 5);
});

test('[RAFT20] any answer that reaches the log ends it, whatever snapshot was taken', () => {
  const leader = compactedGroup().member(1n);
  leader.receive(MessageType.MsgHeartbeatResp, 3n);
  leader.receive(MessageType.MsgAppResp, 3n, { index: 2 });
  assert.equal(leader.node.status().progress.get(3n)?.state, 'snapshot');
  leader.receive(MessageType.MsgAppResp, 3n, { index: 5 });
  assert.equal(leader.node.status().progress.get(3n)?.state, 'replicate');
});

test('[RAFT20] what the transport reports ends it too, after another sign of life', () => {
  for (const [arrived, next, again] of [
    [true, 5, []],
    [false, 1, [4]],
  ] as const) {
    const leader = compactedGroup().member(1n);
    leader.receive(MessageType.MsgHeartbeatResp, 3n);
    leader.node.reportSnapshot(3n, arrived);
    const { state, next: at, paused } = leader.node.status().progress.get(3n)!;
    assert.deepEqual([state, paused, at], ['probe', true, next]);
    assert.deepEqual(snapshotsOf(leader.receive(MessageType.MsgHeartbeatResp, 3n)), again);
  }
});

test('[RAFT21] a snapshot replaces a log that does not hold its last entry', () => {
  const follower = new Member(2n, THREE, { entries: entriesOfTerms(2, 2, 2) });
  const [answer] = follower.receive(MessageType.MsgSnap, 1n, {
    term: 3,
    snapshot: snapshotAt(3, 3),
  });
  const { commit, applied, lastIndex } = follower.node.status();
  assert.deepEqual([answer?.index, commit, applied, lastIndex], [3, 3, 3, 3]);
  assert.deepEqual(follower.log, []);
  assert.deepEqual(follower.storage.snapshot(), snapshotAt(3, 3));
});

test('[RAFT21] where the log agrees with it only the commit mark moves', () => {
  const follower = new Member(2n, THREE, { entries: entriesOfTerms(2, 2, 2) });
  const [answer] = follower.receive(MessageType.MsgSnap, 1n, {
    term: 3,
    snapshot: snapshotAt(3, 2),
  });
  assert.deepEqual([answer?.index, follower.node.status().commit], [3, 3]);
  assert.equal(follower.log.length, 3);
});

test('[RAFT21] an old one, or one that does not know the receiver, changes nothing', () => {
  for (const snapshot of [snapshotAt(2, 2), snapshotAt(9, 3, [1n, 3n])]) {
    const entries = entriesOfTerms(2, 2, 2);
    const follower = new Member(2n, THREE, { entries, hardState: { term: 3, commit: 3 } });
    const [answer] = follower.receive(MessageType.MsgSnap, 1n, { snapshot });
    assert.deepEqual([answer?.index, follower.node.status().commit], [3, 3]);
    assert.equal(follower.log.length, 3);
  }
});

test('[RAFT21] a snapshot brings its configuration', () => {
  const follower = new Member(2n, []);
  const voters = [1n, 2n, 5n];
  follower.receive(MessageType.MsgSnap, 1n, { term: 3, snapshot: snapshotAt(9, 3, voters) });
  assert.deepEqual(follower.node.status().voters, voters);
});
