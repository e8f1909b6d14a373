/** The bitmap set against a plain sorted set. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { NumberSet } from './number-set.ts';

test('[PL60] a number set has what was added and not deleted, in order', () => {
  const value = fc.oneof(fc.nat(70), fc.nat(5_000), fc.nat(200_000));
  const step = fc.tuple(fc.boolean(), value);
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.array(value), (steps, probes) => {
      const set = new NumberSet();
      const model = new Set<number>();
      for (const [adds, number] of steps) {
        if (adds) {
          set.add(number);
          model.add(number);
        } else {
          set.delete(number);
          model.delete(number);
        }
      }
      const sorted = [...model].toSorted((a, b) => a - b);
      const walked: number[] = [];
      for (let n = set.next(0); n >= 0; n = set.next(n + 1)) walked.push(n);
      assert.deepEqual(walked, sorted);
      assert.equal(set.size, model.size);
      for (const probe of [...probes, ...steps.map(([, number]) => number)]) {
        assert.equal(set.has(probe), model.has(probe));
        assert.equal(set.next(probe), sorted.find((n) => n >= probe) ?? -1);
      }
    }),
  );
});
