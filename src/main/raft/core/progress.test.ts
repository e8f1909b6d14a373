import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Progress } from './progress.ts';

const LIMITS = { messagesMax: 2, bytesMax: 0 };

function progressAt(match: number, next: number): Progress {
  return new Progress({ match, next, recentActive: true }, LIMITS);
}

test('[RAFT17] a probe pauses after entries and goes on when they are acknowledged', () => {
  const progress = progressAt(0, 5);
  progress.sentAppend(3, 30, 4);
  assert.equal(progress.paused, true);
  assert.equal(progress.next, 5);
  assert.equal(progress.acknowledge(7), true);
  assert.equal(progress.paused, false);
  progress.becomeReplicate();
  assert.deepEqual([progress.match, progress.next], [7, 8]);
});

test('[RAFT17] replication runs ahead until the inflights are full', () => {
  const progress = progressAt(7, 8);
  progress.becomeReplicate();
  progress.sentAppend(2, 20, 7);
  assert.deepEqual([progress.next, progress.paused], [10, false]);
  progress.sentAppend(1, 10, 7);
  assert.deepEqual([progress.next, progress.paused, progress.mayCarryEntries], [11, true, false]);
  progress.resume();
  assert.deepEqual([progress.paused, progress.mayCarryEntries], [false, false]);
  progress.freeInflightTo(9);
  assert.equal(progress.mayCarryEntries, true);
});

test('[RAFT16] a refusal moves the probe to the hint, but never below what matched', () => {
  for (const [next, rejected, hint, want] of [
    [10, 9, 5, 6],
    [10, 9, 20, 9],
    [10, 9, 1, 4],
  ] as const) {
    const progress = progressAt(3, next);
    assert.equal(progress.refuse(rejected, hint), true);
    assert.equal(progress.next, want);
  }
});

test('[RAFT16] an old refusal changes nothing', () => {
  const probe = progressAt(3, 10);
  assert.equal(probe.refuse(4, 3), false);
  assert.equal(probe.next, 10);
  const replicating = progressAt(3, 4);
  replicating.becomeReplicate();
  replicating.sentAppend(5, 5, 0);
  assert.equal(replicating.refuse(3, 2), false);
  assert.equal(replicating.next, 9);
  assert.equal(replicating.refuse(8, 2), true);
  assert.equal(replicating.next, 4);
});

test('[RAFT20] a snapshot that arrived is where probing goes on, one that failed is forgotten', () => {
  for (const [arrived, want] of [
    [true, 21],
    [false, 4],
  ] as const) {
    const progress = progressAt(3, 4);
    progress.becomeSnapshot(20);
    assert.deepEqual([progress.paused, progress.next], [true, 21]);
    progress.snapshotReported(arrived);
    assert.deepEqual(
      [progress.state, progress.next, progress.paused, progress.status().pendingSnapshot],
      ['probe', want, true, 0],
    );
  }
});

test('[RAFT17] the commit mark is sent again only where it can tell something new', () => {
  const progress = progressAt(5, 6);
  progress.becomeReplicate();
  progress.sentAppend(4, 4, 3);
  assert.equal(progress.canBumpCommit(3), false);
  assert.equal(progress.canBumpCommit(7), true);
  progress.sentCommit(9);
  assert.equal(progress.canBumpCommit(12), false, 'it holds no more than 9 entries');
});
