/**
 * The store alone, its log answering at once: what a task costs to create, change, find, snapshot and
 * restore, how many bytes it takes, and how long the longest turn of the event loop is.
 *
 * `npm run bench -- store [TASKS ...]` for sizes of one's own. Each life of a store is run several
 * times, the largest once, and its results are checked before a figure is told.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { TaskState } from '../src/shared/wire/gen/types.ts';
import type { Bench } from './kit/bench.ts';
import { Figures } from './store/figures.ts';
import { newId, open, random, TRANSACTIONS_PER_TURN, writes, type Opened } from './store/opened.ts';
import { lookUps, snapshotAndRestore } from './store/reads.ts';
import { creations, nodeIds, NODES, running, SERVICES } from './store/tasks.ts';

/** So many tasks are to keep the goal, and take long enough for one round. */
const MANY = 1_000_000;
const MEMORY_GOAL = { atMost: 1024 } as const;

async function fill(bench: Opened, ids: readonly string[]): Promise<void> {
  const parts = creations(ids);
  await bench.figures.measure(
    'createMany, committed',
    ids.length,
    (function* pieces() {
      let made = 0;
      while (made < ids.length) {
        yield () => {
          for (let n = 0; n < TRANSACTIONS_PER_TURN && made < ids.length; n += 1) {
            const next = parts.next();
            if (next.done === true) return;
            const { template, rows } = next.value;
            made += rows.length;
            void bench.store.update((tx) => tx.tasks.createMany(template, rows));
          }
          bench.settle();
        };
      }
    })(),
  );
}

/** One life of a store with so many tasks. */
async function live(count: number, figures: Figures): Promise<void> {
  globalThis.gc?.();
  await nextTurn();
  globalThis.gc?.();
  const before = process.memoryUsage();
  const ids = Array.from({ length: count }, newId);
  const shuffled = ids.toSorted(() => random.unit() - 0.5);
  const bench = open(figures);
  await fill(bench, ids);
  assert.equal(
    bench.store.view(({ tasks }) => tasks.size),
    count,
  );
  await figures.measure(
    'assign (node, state, message)',
    count,
    writes(bench, shuffled, (tx, chunk) => {
      for (const id of chunk) {
        const nodeId = nodeIds[random.below(NODES)] ?? '';
        tx.tasks.patch(id, { nodeId, state: TaskState.ASSIGNED, message: 'assigned' });
      }
    }),
  );
  for (const round of [1, 2]) {
    await figures.measure(
      `status with container, round ${round}`,
      count,
      writes(bench, shuffled, (tx, chunk) => {
        for (const id of chunk) tx.tasks.patch(id, running(`${id}${id}0123456789abc${round}`));
      }),
    );
  }
  await figures.measure('patch state only', count, stateOnly(bench, shuffled));
  globalThis.gc?.();
  await nextTurn();
  globalThis.gc?.();
  const after = process.memoryUsage();
  const used = after.heapUsed + after.external - before.heapUsed - before.external;
  const bytes = { metric: 'memory', unit: 'bytes each' };
  const goal = count >= MANY ? MEMORY_GOAL : undefined;
  figures.add('task', { ...bytes, goal }, used / count);
  figures.add('task, on the heap', bytes, (after.heapUsed - before.heapUsed) / count);
  figures.add(
    'write, in the log',
    { metric: 'log', unit: 'bytes each' },
    bench.log.bytes / count / 5,
  );
  lookUps(bench, shuffled);
  await snapshotAndRestore(bench, count);
  await figures.measure(
    'remove',
    count,
    writes(bench, shuffled, (tx, chunk) => {
      for (const id of chunk) tx.tasks.remove(id);
    }),
  );
  const { allocatedBytes, ...usage } = bench.store.taskUsage;
  assert.equal(usage.rows, 0);
  figures.add('left after removal', { metric: 'pages', unit: 'bytes' }, allocatedBytes);
}

function stateOnly(bench: Opened, ids: readonly string[]) {
  return writes(bench, ids, (tx, chunk) => {
    for (const id of chunk) tx.tasks.patch(id, { state: TaskState.READY });
  });
}

export const bench: Bench = {
  about: 'task rows: create, patch, look up, snapshot, restore [TASKS ...]',
  run: async (session) => {
    const asked = session.args.map(Number);
    const sizes = session.pick({
      tiny: [500],
      short: [10_000],
      full: [10_000, 100_000, MANY],
    });
    const rounds = session.pick({ tiny: 1, short: 5, full: 3 });
    await live(session.pick({ tiny: 100, short: 5_000, full: 5_000 }), new Figures('warming up'));
    for (const count of asked.length === 0 ? sizes : asked) {
      const figures = new Figures(`${count} tasks, ${SERVICES} services, ${NODES} nodes`);
      const wanted = count >= MANY ? 1 : rounds;
      for (let round = 0; round < wanted; round++) await live(count, figures);
      figures.tell(session);
    }
  },
};
