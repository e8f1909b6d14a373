/** A queue gives back what it was given, in order, however it wraps and grows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Int32Queue } from './int32-queue.ts';

test('an empty queue has nothing to give', () => {
  const queue = new Int32Queue();
  assert.throws(() => queue.shift());
  queue.push(7);
  assert.equal(queue.shift(), 7);
  assert.throws(() => queue.shift());
  assert.equal(queue.length, 0);
});

test('numbers come out in the order in which they went in, across wraps and growth', () => {
  const queue = new Int32Queue();
  const model: number[] = [];
  let next = -3;
  for (let round = 0; round < 200; round++) {
    // More comes than goes at first, so it grows while its first number stands anywhere.
    const [comes, goes] = round < 100 ? [7, 4] : [3, 6];
    for (let i = 0; i < comes; i++) {
      queue.push(next);
      model.push(next++);
    }
    for (let i = 0; i < goes; i++) assert.equal(queue.shift(), model.shift());
    assert.equal(queue.length, model.length);
  }
  assert.equal(queue.length, 0);
});
