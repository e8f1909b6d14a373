import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { TermRuns } from './term-runs.ts';

type Step =
  | { readonly do: 'push'; readonly rise: number }
  | { readonly do: 'truncate' | 'compact'; readonly share: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('push'), rise: fc.integer({ min: 0, max: 1 }) }),
  },
  fc.record({
    do: fc.constantFrom('truncate', 'compact'),
    share: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
);

test('terms are those of a plain list, whatever is pushed, cut and compacted', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
      const runs = new TermRuns(1);
      const plain = new Map<number, number>();
      let first = 1;
      let last = 0;
      let term = 1;
      for (const each of steps) {
        if (each.do === 'push') {
          term += each.rise;
          last += 1;
          plain.set(last, term);
          runs.push(term);
          continue;
        }
        const index = first + Math.floor(each.share * (last - first + 1));
        if (each.do === 'truncate') {
          for (let i = index; i <= last; i += 1) plain.delete(i);
          last = Math.min(last, index - 1);
          runs.truncate(index);
        } else {
          for (let i = first; i <= index; i += 1) plain.delete(i);
          first = index + 1;
          last = Math.max(last, index);
          runs.compact(index);
        }
      }
      assert.equal(runs.last, last);
      for (let i = 0; i <= last + 1; i += 1) assert.equal(runs.at(i), plain.get(i) ?? null);
    }),
  );
});

test('a term that falls is a bug, and found', () => {
  const runs = new TermRuns(5);
  runs.push(3);
  assert.throws(() => runs.push(2), /term 2 after 3/);
});
