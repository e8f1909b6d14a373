import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { durationMs, durationOf, millisOf, timestampOf } from './time.ts';

test('times and spans come back', () => {
  fc.assert(
    fc.property(fc.integer({ min: -1e12, max: 1e13 }), (ms) => {
      assert.equal(millisOf(timestampOf(ms)), ms);
      assert.equal(durationMs(durationOf(ms)), ms);
      assert.ok(timestampOf(ms).nanos >= 0);
    }),
  );
});

test('a missing value is its default', () => {
  assert.equal(millisOf(undefined), 0);
  assert.equal(durationMs(undefined, 5000), 5000);
  assert.deepEqual(durationOf(-1500), { seconds: -1, nanos: -500_000_000 });
});
