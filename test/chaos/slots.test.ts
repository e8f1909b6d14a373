import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TaskState } from '../../src/shared/wire/gen/types.ts';
import { pairsIn, type SlotTask } from './slots.ts';

const { RUNNING, SHUTDOWN, FAILED } = TaskState;

const task = (id: string, slot: number, version: number): SlotTask => ({
  id,
  serviceId: 's',
  slot,
  meta: { version: { index: version } },
  desiredState: RUNNING,
  status: { state: RUNNING },
});

const OTHERS: readonly SlotTask[] = [
  task('a', 1, 5),
  task('b', 2, 5),
  // Replaced, or over: not meant to run.
  { ...task('c', 2, 4), desiredState: SHUTDOWN },
  { ...task('d', 2, 4), status: { state: FAILED } },
  { ...task('e', 2, 4), serviceId: 'other' },
];

test('two tasks of a slot that are both meant to run are found, and others let alone', () => {
  assert.deepEqual(pairsIn(OTHERS), []);
  const [pair, ...more] = pairsIn([...OTHERS, task('f', 1, 3)]);
  assert.deepEqual(more, []);
  assert.deepEqual([pair?.first, pair?.second, pair?.isSure], ['a', 'f', true]);
});

test('a task that came after the look at the other may have replaced it', () => {
  const [pair] = pairsIn([...OTHERS, task('f', 1, 6)]);
  assert.equal(pair?.isSure, false);
});
