import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Delayed, DelayedStarts, RESTART } from './restart.ts';

const delayed = (taskId: string, oldTaskId: string, startAtMs: number): Delayed => ({
  taskId,
  oldTaskId,
  serviceId: 'service',
  startAtMs,
});
const idsOf = (found: readonly Delayed[]): string[] => found.map(({ taskId }) => taskId);

test('[ORC5] the replacement of a task that has stopped is found by it, once, when its time has come', () => {
  const starts = new DelayedStarts();
  const early = delayed('early', 'old', 10);
  starts.add(early);
  starts.add(delayed('late', 'other', 50));
  starts.add(delayed('alone', '', 10));
  assert.equal(starts.after('nobody', 100), undefined);
  assert.equal(starts.after('', 100), undefined);
  assert.equal(starts.after('other', 49), undefined);
  assert.equal(starts.after('old', 10), early);
  assert.equal(starts.after('old', 10), undefined);
  assert.deepEqual(
    idsOf(starts.due(60, () => true)),
    ['late', 'alone'],
    'the time that was still to come is told by the clock',
  );
  assert.equal(starts.size, 0);
});

test('[ORC5] one that was cancelled is found no more; one that took its place for a task is', () => {
  const starts = new DelayedStarts();
  starts.add(delayed('first', 'old', 0));
  const second = delayed('second', 'old', 0);
  starts.add(second);
  starts.cancel('first');
  assert.equal(starts.has('first'), false);
  assert.equal(starts.after('old', 0), second);
  starts.add(delayed('third', 'old', 0));
  starts.cancel('third');
  assert.equal(starts.after('old', 0), undefined);
  assert.equal(starts.size, 0);
});

test('[ORC5] nobody waits longer than a minute for a task that does not stop', () => {
  const starts = new DelayedStarts();
  starts.add(delayed('new', 'old', 5));
  const lastMs = 5 + RESTART.oldTaskTimeoutMs;
  assert.equal(starts.nextMs(0), 5);
  assert.equal(starts.nextMs(5), lastMs);
  assert.deepEqual(idsOf(starts.due(lastMs - 1, () => false)), []);
  assert.deepEqual(idsOf(starts.due(lastMs, () => false)), ['new']);
  assert.equal(starts.after('old', lastMs), undefined);
});
