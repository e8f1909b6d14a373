import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Random } from './random.ts';

const run = (seed: bigint, count: number): number[] => {
  const random = new Random(seed);
  return Array.from({ length: count }, () => random.next());
};

test('the same seed gives the same run, another seed another one', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }), (seed) => {
      assert.deepEqual(run(seed, 20), run(seed, 20));
      assert.notDeepEqual(run(seed, 20), run(seed ^ 1n, 20));
    }),
  );
});

test('below stays in range and reaches every value', () => {
  const random = new Random(7n);
  const seen = new Set(Array.from({ length: 2000 }, () => random.below(10)));
  assert.deepEqual(
    [...seen].toSorted((a, b) => a - b),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  );
  assert.throws(() => random.below(0));
});

test('values spread evenly', () => {
  const random = new Random(42n);
  const counts = Array.from({ length: 16 }, () => 0);
  for (let i = 0; i < 160_000; i += 1) counts[random.below(16)]! += 1;
  for (const count of counts) assert.ok(Math.abs(count - 10_000) < 500, String(counts));
});
