/** Many uneven branches, more than the lives of a small cluster have, against the oracle. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Placer } from './placer.ts';
import { nodeFacts, profile } from './testing/fixtures.ts';
import { Oracle } from './testing/oracle.ts';

const SERVICES = 3;
const CPU = 1e9;

const node = fc.record({
  zone: fc.nat(11),
  rack: fc.nat(2),
  nanoCpus: fc.integer({ min: 0, max: 12 }).map((cpus) => cpus * CPU),
});
const batch = fc.record({ service: fc.nat(SERVICES - 1), count: fc.integer({ min: 1, max: 40 }) });

test('[PL13] [PL14] [PL57] tasks spread over branches of any size and fullness as the oracle spreads them', () => {
  const spread = ['node.labels.zone', 'node.labels.rack'];
  const of = [profile({ spread, nanoCpus: CPU }), profile({ spread: spread.slice(0, 1) })];
  fc.assert(
    fc.property(
      fc.array(node, { minLength: 1, maxLength: 40, size: 'max' }),
      fc.array(batch, { maxLength: 8 }),
      (nodes, batches) => {
        const placer = new Placer();
        const oracle = new Oracle();
        nodes.forEach(({ zone, rack, nanoCpus }, number) => {
          const labels = { zone: `z${zone}`, rack: `r${rack}` };
          const facts = nodeFacts({ nanoCpus }, { labels });
          placer.apply({ t: 'node', node: number, facts });
          oracle.nodes.set(number, facts);
        });
        of.forEach((facts, number) => placer.apply({ t: 'profile', profile: number, facts }));
        const shapes = Int32Array.from({ length: SERVICES }, (_, service) => service);
        const profiles = shapes.map((service) => service % of.length);
        placer.apply({ t: 'shapes', shapes, services: shapes, profiles });
        for (const shape of shapes) oracle.addShape(shape, shape, of[shape % of.length]!);
        let task = 0;
        for (const { service, count } of batches) {
          const tasks = Int32Array.from({ length: count }, () => task++);
          placer.apply({ t: 'place', tasks, shapes: new Int32Array(count).fill(service) });
          for (const one of tasks) oracle.place(one, service);
          const decided = placer.turn(0);
          assert.deepEqual(
            Array.from(decided.tasks, (one, i) => [one, decided.nodes[i]]),
            oracle.turn(0).map(({ task: one, node: on }) => [one, on]),
          );
        }
      },
    ),
  );
});
