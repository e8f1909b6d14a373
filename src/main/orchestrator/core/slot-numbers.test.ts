import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SlotNumbers } from './slot-numbers.ts';

test('numbers are there once they were added, however far apart', () => {
  const numbers = new SlotNumbers();
  const all = [1, 2, 31, 32, 33, 32_767, 32_768, 1_000_000, 2 ** 40];
  for (const slot of all) assert.equal(numbers.add(slot), true);
  for (const slot of all) assert.equal(numbers.add(slot), false);
  assert.equal(numbers.size, all.length);
  for (const slot of all) {
    assert.equal(numbers.has(slot), true);
    assert.equal(numbers.has(slot + 4), false);
  }
});

test('the lowest free numbers come in order, and the last of them is known before', () => {
  const numbers = new SlotNumbers();
  for (const slot of [1, 3, 4, 7]) numbers.add(slot);
  const free = [2, 5, 6, 8, 9];
  for (let count = 0; count <= free.length; count += 1) {
    assert.deepEqual([...numbers.free(count)], free.slice(0, count));
    assert.equal(numbers.lastFree(count), free[count - 1] ?? 0);
  }
});
