import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import { bytesEqual, deepEqual } from './deep-equal.ts';

test('content counts, not identity', () => {
  for (const [a, b, equal] of [
    [{ a: [1, { b: 'x' }] }, { a: [1, { b: 'x' }] }, true],
    [{ a: 1, b: undefined }, { a: 1 }, true],
    [{ a: undefined }, { b: undefined }, true],
    [{ a: {} }, { a: undefined }, false],
    [Uint8Array.of(1, 2), Buffer.from([1, 2]), true],
    [Uint8Array.of(1, 2), [1, 2], false],
    [[], {}, false],
    [1n, 1n, true],
    [1n, 1, false],
    [null, {}, false],
    [{ toString: 1 }, {}, false],
    [{}, { toString: 1 }, false],
  ] as const) {
    assert.equal(deepEqual(a, b), equal);
    assert.equal(deepEqual(b, a), equal);
  }
  assert.equal(bytesEqual(Uint8Array.of(1), Uint8Array.of(1, 0)), false);
});

test('agrees with the runtime where nothing is undefined', () => {
  const value = fc.jsonValue({ depthSize: 'small' });
  fc.assert(
    fc.property(value, value, (a, b) => {
      assert.equal(deepEqual(a, b), isDeepStrictEqual(a, b));
      assert.equal(deepEqual(a, structuredClone(a)), true);
    }),
  );
});
