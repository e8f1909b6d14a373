import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { backoffMs, renewalDelayMs } from './renewal.ts';

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

test('a renewal falls on a whole minute between half and four fifths of a life', () => {
  fc.assert(
    fc.property(fc.integer({ min: 61, max: 200_000 }), fc.nat(), (minutes, luck) => {
      const life = { notBeforeMs: 7 * HOUR_MS, notAfterMs: 7 * HOUR_MS + minutes * MINUTE_MS };
      const env = {
        nowMs: () => life.notBeforeMs,
        randBelow: (n: number) => luck % n,
        newId: String,
      };
      const delay = renewalDelayMs(life, env) / MINUTE_MS;
      assert.equal(delay, Math.floor(delay));
      assert.ok(delay >= Math.floor(minutes / 2) && delay <= Math.floor(minutes * 0.8));
    }),
  );
});

test('what is due, or past, is renewed at once', () => {
  const life = { notBeforeMs: 0, notAfterMs: HOUR_MS };
  for (const nowMs of [HOUR_MS * 0.9, HOUR_MS, HOUR_MS * 5]) {
    assert.equal(
      renewalDelayMs(life, { nowMs: () => nowMs, randBelow: () => 0, newId: String }),
      0,
    );
  }
});

test('failures wait 5 s, then twice as long each time, at most an hour', () => {
  assert.deepEqual([1, 2, 3, 4].map(backoffMs), [5000, 10_000, 20_000, 40_000]);
  assert.equal(backoffMs(11), HOUR_MS);
  assert.equal(backoffMs(10_000), HOUR_MS);
});
