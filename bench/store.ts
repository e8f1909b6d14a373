/**
 * The store alone, its log answering at once: what a task costs to create, change, find, snapshot and
 * restore, how many bytes it takes, and how long the longest turn of the event loop is.
 *
 * Run with `node --expose-gc bench/store.ts [TASKS...]`; 10,000 unless told otherwise. Results are
 * checked before a time is printed.
 */
import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Log } from '../src/main/store/proposals.ts';
import { TaskRows } from '../src/main/store/rows/task-rows.ts';
import { ReplicatedStore } from '../src/main/store/store.ts';
import type { NewTask, TaskPatch, Transaction } from '../src/main/store/transaction.ts';
import { Random } from '../src/shared/kit/random.ts';
import { Task } from '../src/shared/wire/gen/objects.ts';
import type { Init } from '../src/shared/wire/runtime.ts';
import { RestartPolicyRestartCondition, TaskState } from '../src/shared/wire/gen/types.ts';

const PER_TRANSACTION = 200;
const TRANSACTIONS_PER_TURN = 5;
const NODES = 1000;
const SERVICES = 100;

/** A log that keeps nothing and commits when asked. */
class NullLog implements Log {
  lastIndex = 0;
  readonly leading = true;
  queue: { readonly index: number; readonly bytes: Uint8Array }[] = [];
  bytes = 0;

  propose(bytes: Uint8Array): { readonly index: number } {
    this.lastIndex += 1;
    this.bytes += bytes.length;
    this.queue.push({ index: this.lastIndex, bytes });
    return { index: this.lastIndex };
  }
}

const random = new Random(1n);
const env = { nowMs: () => Date.now(), randBelow: (n: number) => random.below(n), newId: newId };

/** 25 base-36 digits; as random as a bench needs. */
function newId(): string {
  let id = '';
  while (id.length < 25) id += random.next().toString(36).slice(-5).padStart(5, '0');
  // Flat, as a decoded id is.
  return Buffer.from(id).toString('latin1');
}

function open() {
  const log = new NullLog();
  const tasks = new TaskRows();
  let deferred: (() => void)[] = [];
  const runDeferred = (): void => {
    const runs = deferred;
    deferred = [];
    for (const each of runs) each();
  };
  const defer = (each: () => void): void => {
    if (deferred.push(each) === 1) setImmediate(runDeferred);
  };
  const store = new ReplicatedStore({ env, log, defer, tasks });
  /** Proposes and commits all that was written. */
  const settle = (): void => {
    runDeferred();
    const { queue } = log;
    log.queue = [];
    for (const { index, bytes } of queue) store.committed(index, bytes);
  };
  return { store, log, tasks, settle };
}
type Bench = ReturnType<typeof open>;

/**
 * Runs pieces of work, a turn of the event loop each; tells the processor time of all and of the
 * longest. On a busy machine wall time says more about the neighbours.
 */
async function measure(name: string, count: number, pieces: Iterable<() => void>) {
  let busyMs = 0;
  let longestMs = 0;
  let longestCpuMs = 0;
  for (const piece of pieces) {
    const start = performance.now();
    const cpu = process.threadCpuUsage();
    piece();
    const used = process.threadCpuUsage(cpu);
    const cpuMs = (used.user + used.system) / 1000;
    busyMs += cpuMs;
    longestCpuMs = Math.max(longestCpuMs, cpuMs);
    longestMs = Math.max(longestMs, performance.now() - start);
    await nextTurn();
  }
  const each = ((busyMs * 1000) / count).toFixed(2);
  console.log(
    `  ${name.padEnd(34)} ${each.padStart(8)} us each  ${busyMs.toFixed(0).padStart(7)} ms in all  longest turn ${longestCpuMs.toFixed(1)} ms (wall ${longestMs.toFixed(1)})`,
  );
}

function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += PER_TRANSACTION) {
    yield items.slice(at, at + PER_TRANSACTION);
  }
}

/** Writes every item, some transactions a turn, and commits them in the same turn. */
function* writes<T>(
  bench: Bench,
  items: readonly T[],
  write: (tx: Transaction, chunk: readonly T[]) => void,
): Generator<() => void> {
  const all = [...chunks(items)];
  for (let at = 0; at < all.length; at += TRANSACTIONS_PER_TURN) {
    yield () => {
      for (const chunk of all.slice(at, at + TRANSACTIONS_PER_TURN)) {
        void bench.store.update((tx) => write(tx, chunk));
      }
      bench.settle();
    };
  }
}

function templateOf(service: number): Init<Task> {
  const annotations = { name: `service-${service}`, labels: { team: 'storage', tier: 'web' } };
  return {
    serviceId: `service${String(service).padStart(18, '0')}`,
    serviceAnnotations: annotations,
    specVersion: { index: 7 },
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.NEW, message: 'created' },
    spec: {
      runtime: {
        case: 'container',
        value: {
          image: 'registry.example.org/team/application:1.2.3@sha256:0123456789abcdef',
          args: ['--listen', ':8080', '--verbose'],
          env: ['A=1', 'LOG_LEVEL=info', 'REGION=north', `SERVICE=${service}`],
          labels: { tier: 'web' },
        },
      },
      restart: { condition: RestartPolicyRestartCondition.ANY, delay: { seconds: 5 } },
      placement: { constraints: ['node.labels.zone==a'] },
    },
  };
}

const nodeIds = Array.from({ length: NODES }, newId);

/** Transactions that create the tasks, by service. */
function* creations(ids: readonly string[]) {
  const perService = Math.ceil(ids.length / SERVICES);
  for (let n = 0; n < SERVICES; n += 1) {
    const template = templateOf(n);
    let slot = 0;
    for (const chunk of chunks(ids.slice(n * perService, (n + 1) * perService))) {
      const rows = chunk.map((id): NewTask => {
        slot += 1;
        return { id, slot, nodeId: '', name: `service-${n}.${slot}.${id}` };
      });
      yield { template, rows };
    }
  }
}

async function fill(bench: Bench, ids: readonly string[]): Promise<void> {
  const parts = creations(ids);
  await measure(
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

function running(containerId: string): TaskPatch {
  const now = { seconds: 1_700_000_000, nanos: 123_456_789 };
  const { status } = Task.create({
    status: {
      state: TaskState.RUNNING,
      message: 'started',
      timestamp: now,
      appliedBy: nodeIds[0] ?? '',
      appliedAt: now,
      runtimeStatus: { case: 'container', value: { containerId, pid: 4711 } },
    },
  });
  return { status };
}

async function run(count: number): Promise<void> {
  console.log(`${count} tasks, ${SERVICES} services, ${NODES} nodes`);
  globalThis.gc?.();
  await nextTurn();
  globalThis.gc?.();
  const before = process.memoryUsage();
  const ids = Array.from({ length: count }, newId);
  const shuffled = ids.toSorted(() => random.unit() - 0.5);
  const bench = open();
  await fill(bench, ids);
  assert.equal(
    bench.store.view(({ tasks }) => tasks.size),
    count,
  );
  await measure(
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
    await measure(
      `status with container, round ${round}`,
      count,
      writes(bench, shuffled, (tx, chunk) => {
        for (const id of chunk) tx.tasks.patch(id, running(`${id}${id}0123456789abc${round}`));
      }),
    );
  }
  await measure('patch state only', count, stateOnly(bench, shuffled));
  globalThis.gc?.();
  await nextTurn();
  globalThis.gc?.();
  const after = process.memoryUsage();
  const used = after.heapUsed + after.external - before.heapUsed - before.external;
  console.log(
    `  bytes a task: ${Math.round(used / count)} (heap ${Math.round((after.heapUsed - before.heapUsed) / count)}), log ${Math.round(bench.log.bytes / count / 5)} a write; rss ${Math.round(after.rss / 2 ** 20)} MiB`,
  );
  await lookUps(bench, shuffled);
  await snapshotAndRestore(bench, count);
  await measure(
    'remove',
    count,
    writes(bench, shuffled, (tx, chunk) => {
      for (const id of chunk) tx.tasks.remove(id);
    }),
  );
  const { allocatedBytes, ...usage } = bench.tasks.usage();
  assert.equal(usage.rows, 0);
  console.log(`  left after removal: ${Math.round(allocatedBytes / 2 ** 20)} MiB in pages`);
}

function stateOnly(bench: Bench, ids: readonly string[]) {
  return writes(bench, ids, (tx, chunk) => {
    for (const id of chunk) tx.tasks.patch(id, { state: TaskState.READY });
  });
}

async function lookUps({ store }: Bench, ids: readonly string[]): Promise<void> {
  let found = 0;
  const sample = ids.slice(0, 10_000);
  await measure('get and read five fields', sample.length, [
    () =>
      store.view(({ tasks }) => {
        for (const id of sample) {
          const row = tasks.get(id);
          assert(row !== undefined);
          found += row.slot + row.state + row.desiredState + row.version + row.nodeId.length;
        }
      }),
  ]);
  assert.ok(found > 0);
  let listed = 0;
  const onNodes = store.view(({ tasks }) =>
    nodeIds.reduce((sum, id) => sum + tasks.countByNode(id), 0),
  );
  await measure('walk by node, a row', onNodes, [
    () =>
      store.view(({ tasks }) => {
        for (const id of nodeIds)
          for (const row of tasks.byNode(id)) listed += row.slot > 0 ? 1 : 0;
      }),
  ]);
  assert.equal(listed, onNodes);
  await measure('slot look-up', sample.length, [
    () =>
      store.view(({ tasks }) => {
        for (let n = 0; n < sample.length; n += 1) {
          const slot = 1 + (n % Math.ceil(ids.length / SERVICES));
          assert.equal(tasks.bySlot(templateOf0, slot).length, 1);
        }
      }),
  ]);
  await measure('whole task decoded', sample.length, [
    () =>
      store.view(({ tasks }) => {
        for (const id of sample) assert.equal(tasks.get(id)?.toTask().id, id);
      }),
  ]);
  await measure('whole task encoded', sample.length, [
    () =>
      store.view(({ tasks }) => {
        for (const id of sample) assert.ok((tasks.get(id)?.toBytes().length ?? 0) > 0);
      }),
  ]);
}
const templateOf0 = templateOf(0).serviceId ?? '';

async function snapshotAndRestore({ store }: Bench, count: number): Promise<void> {
  const slices: Uint8Array[] = [];
  let longestMs = 0;
  const start = performance.now();
  const drawing = store.snapshot();
  for (;;) {
    const from = performance.now();
    const next = await drawing.next();
    longestMs = Math.max(longestMs, performance.now() - from);
    if (next.done === true) break;
    slices.push(next.value);
  }
  const bytes = slices.reduce((sum, slice) => sum + slice.length, 0);
  console.log(
    `  snapshot: ${(performance.now() - start).toFixed(0)} ms, ${(bytes / 2 ** 20).toFixed(0)} MiB in ${slices.length} slices, longest turn ${longestMs.toFixed(1)} ms`,
  );
  const other = open();
  await measure('restore', count, [() => other.store.restore(7, slices)]);
  assert.equal(
    other.store.view(({ tasks }) => tasks.size),
    count,
  );
}

const sizes = process.argv.slice(2).map(Number);
console.log('warming up');
await run(5000);
for (const count of sizes.length === 0 ? [10_000] : sizes) await run(count);
