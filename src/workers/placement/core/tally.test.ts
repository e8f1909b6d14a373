/** The hash table of task counts against nested maps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Tally } from './tally.ts';

test('[PL61] a tally counts pairs and lists the nodes of a service', () => {
  const step = fc.tuple(fc.nat(12), fc.nat(300), fc.integer({ min: -2, max: 3 }));
  fc.assert(
    fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
      const tally = new Tally();
      const model = new Map<string, number>();
      for (const [service, node, change] of steps) {
        const key = `${service}/${node}`;
        const count = Math.max(0, (model.get(key) ?? 0) + change);
        if (count === 0) model.delete(key);
        else model.set(key, count);
        tally.set(service, node, count);
        assert.equal(tally.get(service, node), count);
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
