/** The hash table of task counts against nested maps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Tally } from './tally.ts';

test('[PL61] a tally counts pairs and lists the nodes of a service', () => {
  // Few nodes or many: both sides of the length up to which a chain is walked.
  const step = fc.tuple(fc.nat(12), fc.oneof(fc.nat(5), fc.nat(300)), fc.boolean());
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400, size: 'max' }), (steps) => {
      const tally = new Tally();
      const model = new Map<string, number>();
      const entries = new Map<string, number>();
      for (const [service, node, isMore] of steps) {
        const key = `${service}/${node}`;
        const before = model.get(key) ?? 0;
        const count = before + (isMore ? 1 : -1);
        if (count > 0) model.set(key, count);
        else model.delete(key);
        if (isMore) {
          const entry = tally.count(service, node);
          assert.equal(entry, entries.get(key) ?? entry, 'a pair keeps its entry');
          entries.set(key, entry);
        } else if (before > 0) {
          tally.add(entries.get(key) ?? -1, -1);
          if (count === 0) entries.delete(key);
        }
        assert.equal(tally.get(service, node), Math.max(0, count));
      }
      const listed: [string, number][] = [];
      for (let service = 0; service <= 12; service++) {
        for (let entry = tally.first(service); entry >= 0; entry = tally.next(entry)) {
          listed.push([`${service}/${tally.nodeAt(entry)}`, tally.countAt(entry)]);
        }
      }
      assert.deepEqual(new Map(listed), model);
      assert.equal(listed.length, model.size);
      assert.equal(tally.pairs, model.size);
    }),
  );
});
