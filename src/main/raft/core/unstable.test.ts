import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { entryOf } from './testing/group.ts';
import { Unstable } from './unstable.ts';

const idsOf = (unstable: Unstable): readonly string[] =>
  unstable.entries.map(({ term, index }) => `${term}/${index}`);

test('[RAFT27] an append replaces what stood at its indexes and after, as in a sparse map', () => {
  const appends = fc.array(
    fc.record({ back: fc.nat(6), count: fc.integer({ min: 1, max: 4 }), term: fc.nat(5) }),
  );
  fc.assert(
    fc.property(appends, (script) => {
      const unstable = new Unstable(10);
      const twin = new Map<number, number>();
      for (const { back, count, term } of script) {
        const from = Math.max(5, unstable.lastIndex + 1 - back);
        unstable.append(Array.from({ length: count }, (_, at) => entryOf(term, from + at)));
        for (const index of twin.keys()) if (index >= from) twin.delete(index);
        for (let at = 0; at < count; at += 1) twin.set(from + at, term);
      }
      const want = [...twin].toSorted(([a], [b]) => a - b);
      assert.deepEqual(
        idsOf(unstable),
        want.map(([index, term]) => `${term}/${index}`),
      );
      assert.equal(unstable.offset, want[0]?.[0] ?? 10);
    }),
  );
});

test('[RAFT27] what was stored leaves, unless it was replaced meanwhile', () => {
  const unstable = new Unstable(3);
  unstable.append([entryOf(1, 3), entryOf(1, 4), entryOf(1, 5)]);
  unstable.stableTo(4, 1);
  assert.deepEqual([unstable.offset, idsOf(unstable)], [5, ['1/5']]);
  unstable.append([entryOf(2, 5)]);
  unstable.stableTo(5, 1);
  assert.deepEqual([unstable.offset, idsOf(unstable)], [5, ['2/5']]);
  unstable.stableTo(4, 1);
  assert.equal(unstable.offset, 5);
});

test('[RAFT21] a snapshot replaces everything, and is there until it is stored', () => {
  const unstable = new Unstable(3);
  unstable.append([entryOf(1, 3)]);
  const confState = {
    voters: [],
    learners: [],
    votersOutgoing: [],
    learnersNext: [],
    autoLeave: false,
  };
  unstable.restore({ data: undefined, metadata: { index: 9, term: 2, confState } });
  assert.deepEqual([unstable.offset, unstable.lastIndex, unstable.term(9)], [10, 9, 2]);
  unstable.snapshotStable(8);
  assert.notEqual(unstable.snapshot, null);
  unstable.snapshotStable(9);
  assert.equal(unstable.snapshot, null);
  assert.throws(() => unstable.append([entryOf(3, 12)]), /gap/);
});
