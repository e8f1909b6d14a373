import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { isDirty } from '../../shared/model/dirty.ts';
import { runtimeName, taskName } from '../../shared/model/names.ts';
import { ListTasksRequestFilters, ListTasksResponse } from '../../shared/wire/gen/control.ts';
import { Node, Service, Task } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { Code } from '../rpc/errors.ts';
import type { Store } from '../store/transaction.ts';
import type { TaskRow, TaskTable, View } from '../store/view.ts';
import { listTasks } from './task-list.ts';
import { Bench } from './testing/bench.ts';

const runtimes = {
  container: { case: 'container', value: { image: 'a' } },
  attachment: { case: 'attachment', value: {} },
  plugin: { case: 'generic', value: { kind: 'Plugin' } },
} as const;

/** A small world where every filter divides: ids begin alike, names collide, versions differ. */
const SERVICES: readonly Init<Service>[] = ['s1', 's2'].map((id, index) => ({
  id,
  spec: { annotations: { name: id }, task: { runtime: runtimes.container } },
  specVersion: { index },
}));
const NODES: readonly Init<Node>[] = [{ id: 'n1' }, { id: 'n2' }];
const TASKS: readonly Init<Task>[] = Array.from({ length: 60 }, (_, index) => {
  const pick = <T>(list: readonly T[], step: number): T => {
    const chosen = list[Math.floor(index / step) % list.length];
    assert.ok(chosen !== undefined);
    return chosen;
  };
  return {
    id: `${pick(['a', 'ab', 'b', 'B'], 1)}${index}`,
    serviceId: pick(['s1', 's2', 'gone', ''], 2),
    nodeId: pick(['n1', 'n2', ''], 3),
    slot: index % 5,
    annotations: { name: index % 7 === 0 ? 'own' : '' },
    serviceAnnotations: { name: pick(['s1', 's2'], 2), labels: { tier: pick(['x', 'y'], 5) } },
    desiredState: pick([TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.REMOVE], 4),
    status: { state: pick([TaskState.RUNNING, TaskState.FAILED], 6) },
    spec: { runtime: pick(Object.values(runtimes), 7) },
    specVersion: { index: index % 3 },
  };
});

async function world(): Promise<Bench> {
  const bench = new Bench();
  await bench.write((tx) => {
    for (const service of SERVICES) tx.services.create(Service.create(service));
    for (const node of NODES) tx.nodes.create(Node.create(node));
    for (const task of TASKS) tx.tasks.create(Task.create(task));
  });
  return bench;
}

test('[CTL80] a task is read and removed by its id', async () => {
  const bench = await world();
  const taskId = TASKS[3]?.id ?? '';
  assert.equal((await bench.call('GetTask', { taskId })).task?.id, taskId);
  await bench.call('RemoveTask', { taskId });
  const gone = { code: Code.NOT_FOUND, text: `task ${taskId} not found` };
  assert.deepEqual(await bench.refusal('GetTask', { taskId }), gone);
  assert.deepEqual(await bench.refusal('RemoveTask', { taskId }), gone);
  assert.equal((await bench.refusal('GetTask', {}))?.code, Code.INVALID_ARGUMENT);
  assert.equal((await bench.refusal('RemoveTask', {}))?.code, Code.INVALID_ARGUMENT);
});

const any = <T>(wished: readonly T[], fits: (wish: T) => boolean): boolean =>
  wished.length === 0 || wished.some((wish) => fits(wish));

/** The filter as the rules have it, on whole tasks. */
function slowly(bench: Bench, filters: ListTasksRequestFilters): readonly string[] {
  const { store } = bench.memory;
  return store.view((view) =>
    Array.from(view.tasks.all(), (row) => ({ row, task: row.toTask() }))
      .filter(({ row, task }) => {
        const service = view.services.get(task.serviceId);
        const labels = task.serviceAnnotations.labels;
        return (
          any(filters.names, (name) => taskName(task) === name) &&
          any(filters.namePrefixes, (prefix) => taskName(task).startsWith(prefix)) &&
          any(filters.idPrefixes, (prefix) => task.id.startsWith(prefix)) &&
          any(filters.serviceIds, (id) => task.serviceId === id) &&
          any(filters.nodeIds, (id) => task.nodeId === id) &&
          any(filters.desiredStates, (state) => task.desiredState === state) &&
          any(filters.runtimes, (runtime) => runtimeName(task.spec) === runtime) &&
          Object.entries(filters.labels).every(
            ([key, value]) => key in labels && (value === '' || labels[key] === value),
          ) &&
          (!filters.upToDate ||
            (service !== undefined && !isDirty(service, row, view.nodes.get(task.nodeId))))
        );
      })
      .map(({ task }) => task.id)
      .toSorted((a, b) => (a < b ? -1 : 1)),
  );
}

const some = <T>(...values: readonly T[]) =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant<T[]>([]) },
    { weight: 2, arbitrary: fc.array(fc.constantFrom(...values), { maxLength: 3 }) },
  );
const filtersArbitrary = fc.record({
  names: some('own', 's1.1.ab1', 's2.n1.b10', 'none'),
  namePrefixes: some('s1.', 's2.n', 'ow', 'S1'),
  idPrefixes: some('a', 'ab', 'b1', 'B', 'z'),
  labels: fc.constantFrom({}, {}, { tier: 'x' }, { tier: '' }, { tier: 'x', no: '' }),
  serviceIds: some('s1', 's2', 'gone', '', 'none'),
  nodeIds: some('n1', 'n2', '', 'none'),
  desiredStates: some<TaskState>(TaskState.RUNNING, TaskState.SHUTDOWN, TaskState.NEW),
  runtimes: some('container', 'plugin', 'Plugin', 'attachment'),
  upToDate: fc.boolean(),
});

test('[CTL81] task filters find what a look at every task finds', async () => {
  const bench = await world();
  assert.equal((await bench.call('ListTasks', {})).tasks.length, TASKS.length);
  let found = 0;
  await fc.assert(
    fc.asyncProperty(filtersArbitrary, async (init) => {
      const filters = ListTasksRequestFilters.create(init);
      const { tasks } = await bench.call('ListTasks', { filters });
      const ids = tasks.map((task) => task.id);
      assert.deepEqual(ids, slowly(bench, filters));
      found += ids.length;
    }),
    { numRuns: 1000 },
  );
  assert.ok(found > 1000, 'the filters let something through');
});

test('[CTL81] a listed task is the whole task', async () => {
  const bench = await world();
  const { tasks } = await bench.call('ListTasks', {});
  for (const task of tasks) {
    const stored = bench.memory.store.view((view) => view.tasks.get(task.id)?.toTask());
    assert.deepEqual(task, stored);
  }
});

test('[CTL82] a long list lets the loop turn, and leaves out what goes meanwhile', async () => {
  const bench = new Bench();
  const ids = Array.from({ length: 2000 }, (_, index) => `t${String(index).padStart(5, '0')}`);
  await bench.memory.store.batch(ids, (tx, id) => tx.tasks.create(Task.create({ id })));
  let turns = 0;
  const nextTurn = async (): Promise<void> => {
    turns += 1;
    if (turns > 1) return;
    await bench.write((tx) => {
      for (const row of tx.tasks.all()) tx.tasks.remove(row.id);
    });
  };
  const { bytes } = await listTasks({ ...bench.context, nextTurn }, undefined, { pieceMs: 0 });
  const { tasks } = ListTasksResponse.decode(bytes);
  assert.equal(tasks.length, 64);
  assert.equal(turns, Math.floor(ids.length / 64));
  for (const task of tasks) assert.deepEqual(task, Task.create({ ...task, id: task.id }));
  assert.deepEqual(
    tasks.map((task) => task.id),
    ids.slice(0, tasks.length),
  );
});

test('[CTL82] a list whose caller is gone ends', async () => {
  const bench = new Bench();
  const ids = Array.from({ length: 100 }, (_, index) => `t${index}`);
  await bench.memory.store.batch(ids, (tx, id) => tx.tasks.create(Task.create({ id })));
  const signal = AbortSignal.abort(new Error('gone'));
  await assert.rejects(listTasks(bench.context, undefined, { signal, pieceMs: 0 }), /gone/);
});

/** A context whose task table counts whole scans and decodings. */
function watched(bench: Bench) {
  const counts = { scans: 0, decoded: 0 };
  const rowOf = (row: TaskRow): TaskRow =>
    new Proxy(row, {
      get(target, key) {
        if (key === 'toTask' || key === 'shared' || key === 'status') counts.decoded += 1;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const tableOf = (table: TaskTable): TaskTable => ({
    size: table.size,
    get: (id) => {
      const row = table.get(id);
      return row && rowOf(row);
    },
    byService: (id) => table.byService(id).map(rowOf),
    pieceOfService: (id, from, max) => {
      const { rows, next } = table.pieceOfService(id, from, max);
      return { rows: rows.map(rowOf), next };
    },
    byNode: (id) => table.byNode(id).map(rowOf),
    bySlot: (id, slot) => table.bySlot(id, slot).map(rowOf),
    byState: (state) => table.byState(state).map(rowOf),
    byDesiredState: (state) => table.byDesiredState(state).map(rowOf),
    byReference: (kind, id) => table.byReference(kind, id).map(rowOf),
    byIdPrefix: (prefix) => table.byIdPrefix(prefix).map(rowOf),
    countByService: (id) => table.countByService(id),
    countByNode: (id) => table.countByNode(id),
    countByDesiredState: (state) => table.countByDesiredState(state),
    idBeginnings: () => {
      counts.scans += 1;
      return table.idBeginnings();
    },
    byPlace: () => assert.fail('a list goes through all tasks by beginnings'),
    placesEnd: table.placesEnd,
    all: () => assert.fail('a list goes through all tasks by beginnings'),
  });
  const inner = bench.memory.store;
  const wrapped = (view: View): View => ({ ...views(view), tasks: tableOf(view.tasks) });
  const store: Store = {
    view: (fn) => inner.view((view) => fn(wrapped(view))),
    head: (fn) => inner.head(fn),
    update: (fn) => inner.update(fn),
    batch: (items, each, failed) => inner.batch(items, each, failed),
    watch: (listener) => inner.watch(listener),
    appliedIndex: inner.appliedIndex,
  };
  return { counts, context: { ...bench.context, store } };
}

const views = (view: View): Omit<View, 'tasks'> => ({
  nodes: view.nodes,
  services: view.services,
  networks: view.networks,
  clusters: view.clusters,
  secrets: view.secrets,
  configs: view.configs,
  resources: view.resources,
  extensions: view.extensions,
  volumes: view.volumes,
});

test('[CTL83] a filter that an index serves scans nothing, and only names decode', async () => {
  const bench = await world();
  for (const [init, scans, decodes] of [
    [{}, 1, false],
    [{ serviceIds: ['s1'] }, 0, false],
    [{ nodeIds: ['n1'], serviceIds: ['s1'] }, 0, false],
    [{ desiredStates: [TaskState.SHUTDOWN] }, 0, false],
    [{ idPrefixes: ['a'] }, 1, false],
    [{ serviceIds: ['s1'], labels: { tier: 'x' } }, 0, true],
    [{ nodeIds: ['n2'], names: ['own'] }, 0, true],
  ] as const) {
    const { counts, context } = watched(bench);
    await listTasks(context, ListTasksRequestFilters.create(init));
    assert.deepEqual([counts.scans, counts.decoded > 0], [scans, decodes], JSON.stringify(init));
  }
});
