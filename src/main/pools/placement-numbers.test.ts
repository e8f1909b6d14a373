/** Numbers are dense, and rest until the thread cannot mean the old thing any more. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Numbers } from './placement-numbers.ts';

test('[PL74] a number is used again only after the turn that ended it has passed', () => {
  const numbers = new Numbers();
  assert.deepEqual([numbers.take(), numbers.take()], [0, 1]);
  numbers.release(0, 5);
  numbers.passed(4);
  assert.equal(numbers.take(), 2);
  numbers.passed(5);
  assert.equal(numbers.take(), 0);
  assert.equal(numbers.take(), 3);
  assert.equal(numbers.size, 4);
});

test('[PL74] numbers do not grow when as many go as come', () => {
  const numbers = new Numbers();
  for (let turn = 1; turn <= 1_000; turn++) {
    const taken = Array.from({ length: 10 }, () => numbers.take());
    assert.equal(new Set(taken).size, 10);
    for (const number of taken) numbers.release(number, turn);
    numbers.passed(turn - 2);
  }
  assert.ok(numbers.size <= 40, `${numbers.size} numbers for 10 at a time`);
});
