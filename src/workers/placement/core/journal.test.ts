/** The journal of changed nodes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Journal } from './journal.ts';

test('[PL63] a reader of the journal sees every node touched since, once', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30), { maxLength: 300 }), fc.nat(300), (touches, split) => {
      const journal = new Journal();
      const before = touches.slice(0, split);
      const after = touches.slice(split);
      for (const node of before) journal.touch(node);
      const position = journal.read();
      for (const node of after) journal.touch(node);
      const seen: number[] = [];
      for (let at = position; at < journal.head; at++) {
        const node = journal.nodeAt(at);
        if (node >= 0) seen.push(node);
      }
      assert.equal(new Set(seen).size, seen.length, 'no node twice');
      assert.deepEqual(new Set(seen), new Set(after));
      for (const node of touches) {
        assert.equal(journal.touchedSince(position, node), after.includes(node));
      }
    }),
  );
});

test('[PL63] a journal that dropped entries says so', () => {
  const journal = new Journal();
  for (let round = 0; round < 3_000; round++) {
    journal.touch(round % 7);
    journal.read();
  }
  assert.equal(journal.reachesBack(0), false);
  assert.equal(journal.reachesBack(journal.head), true);
  assert.equal(journal.touchedSince(journal.head - 1, 2_999 % 7), true);
  assert.equal(journal.touchedSince(journal.head, 2_999 % 7), false);
});
