/** Compares every look-up of a view with the slow twin's state: for tests. */
/* oxlint-disable typescript/no-unsafe-type-assertion -- generic over kinds, as the twin is */
import assert from 'node:assert/strict';
import { Task, type Node, type Service } from '../../../shared/wire/gen/objects.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { Stored } from '../schema.ts';
import type { ObjectKind, ObjectTable, TaskRow, TaskTable, View } from '../view.ts';
import { idOf, NAMES, STATES, type SomeKind } from './random-writes.ts';
import { select, selectByIndex, selectTasks, type SlowState } from './slow-store.ts';

export const TABLE = { node: 'nodes', service: 'services', secret: 'secrets' } as const;

export const byId = <T extends Stored>(objects: readonly T[]): T[] =>
  objects.toSorted((a, b) => (a.id < b.id ? -1 : 1));

/** Compares the tables of the kinds that random writes touch. */
export function compareViews(view: View, state: SlowState): void {
  for (const kind of ['node', 'service', 'secret'] as const) {
    compareObjects(view[TABLE[kind]], kind, state);
  }
  compareTasks(view, state);
}

function same(found: Iterable<Stored>, expected: readonly Stored[]): void {
  assert.deepEqual(byId([...found]), expected);
}

function compareObjects(table: ObjectTable<ObjectKind>, kind: ObjectKind, state: SlowState): void {
  const all = select(state, kind);
  same(table.all() as Iterable<Stored>, all);
  assert.equal(table.size, all.length);
  for (let n = 0; n < 8; n += 1) {
    const id = idOf(kind as SomeKind, n);
    assert.deepEqual(table.get(id), state.get(`${kind} ${id}`));
  }
  const nameIn = (object: Stored): string | undefined =>
    kind === 'node'
      ? (object as Node).description?.hostname.toLowerCase()
      : (object as Service).spec.annotations.name.toLowerCase();
  for (const name of NAMES) {
    const named = all.filter((object) => nameIn(object) === name.toLowerCase());
    const found = table.byName(name);
    assert.equal(found === undefined, named.length === 0);
    if (found !== undefined) assert.ok(named.some((object) => object.id === found.id));
  }
  for (const prefix of ['', 'a', 'aa', 'ab', 'aas', 'b', 'abservice1', 'zz']) {
    same(
      table.byIdPrefix(prefix),
      all.filter(({ id }) => id.startsWith(prefix)),
    );
  }
  for (const prefix of ['', 'W', 'd', 'WE']) {
    const wanted = (object: Stored): boolean =>
      nameIn(object)?.startsWith(prefix.toLowerCase()) === true;
    same(table.byNamePrefix(prefix), all.filter(wanted));
  }
  for (const value of ['0', '2', '9']) {
    const wanted = (object: Stored): boolean =>
      (object as Service).spec.annotations.indices.some(({ val }) => val === value);
    same(table.byCustom('k', value), all.filter(wanted));
  }
  const indices: Record<string, readonly string[]> = {
    node: ['role 0', 'role 1', 'membership 1'],
    service: ['runtime container', 'secret sec', 'network net', 'network other'],
    secret: [],
  };
  for (const [index = '', key = ''] of (indices[kind] ?? []).map((text) => text.split(' '))) {
    same(table.find(index as never, key), selectByIndex(state, kind, { index, key }));
  }
}

/** Nothing is written between the pieces: a task that is pending may be met twice all the same. */
function inPieces(tasks: TaskTable, service: string): Iterable<TaskRow> {
  const met = new Map<string, TaskRow>();
  for (let from: string | undefined; ;) {
    const { rows, next } = tasks.pieceOfService(service, from, 2);
    for (const row of rows) met.set(row.id, row);
    if (next === undefined) return met.values();
    from = next;
  }
}

function compareTasks({ tasks }: View, state: SlowState): void {
  const sameTasks = (rows: Iterable<TaskRow>, wanted: (task: Task) => boolean): void =>
    assert.deepEqual(byId(Array.from(rows, (row) => row.toTask())), selectTasks(state, wanted));
  sameTasks(tasks.all(), () => true);
  assert.equal(tasks.size, selectTasks(state, () => true).length);
  for (const service of ['', 'service1', 'service2', 'none']) {
    sameTasks(tasks.byService(service), (task) => task.serviceId === service);
    assert.equal(tasks.countByService(service), tasks.byService(service).length);
    sameTasks(inPieces(tasks, service), (task) => task.serviceId === service);
    for (const slot of [0, 1, 2]) {
      const wanted = (task: Task): boolean => task.serviceId === service && task.slot === slot;
      sameTasks(tasks.bySlot(service, slot), wanted);
    }
  }
  for (const node of ['', 'node1', 'node2', 'node3']) {
    sameTasks(tasks.byNode(node), (task) => task.nodeId === node);
    assert.equal(tasks.countByNode(node), tasks.byNode(node).length);
  }
  for (const some of [...STATES, TaskState.SHUTDOWN]) {
    sameTasks(tasks.byState(some), (task) => task.status.state === some);
    assert.equal(tasks.countByDesiredState(some), tasks.byDesiredState(some).length);
    sameTasks(tasks.byDesiredState(some), (task) => task.desiredState === some);
  }
  sameTasks(tasks.byReference('network', 'net'), (task) => task.spec.networks.length > 0);
  sameTasks(tasks.byReference('config', 'sec'), () => false);
  sameTasks(
    tasks.byReference('secret', 'sec'),
    ({ spec }) => spec.runtime?.case === 'container' && spec.runtime.value.secrets.length > 0,
  );
  for (const prefix of ['', 'aa', 'abtask1', 'z']) {
    sameTasks(tasks.byIdPrefix(prefix), (task) => task.id.startsWith(prefix));
  }
  const beginnings = new Set(selectTasks(state, () => true).map((task) => task.id.slice(0, 2)));
  for (const two of beginnings) assert.ok(tasks.idBeginnings().includes(two));
  for (const row of tasks.all()) compareRow(row, state.get(`task ${row.id}`) as Task);
}

/** Goes through the committed tasks by place, in pieces, and finds each again at its place. */
export function comparePlaces({ tasks }: View, state: SlowState): void {
  const rows = [tasks.byPlace(0, 3), tasks.byPlace(3, tasks.placesEnd)].flat();
  const found = byId(rows.map((row) => row.toTask()));
  assert.deepEqual(
    found,
    selectTasks(state, () => true),
  );
  for (const { id, place } of rows) assert.equal(tasks.get(id, place)?.place, place);
}

function compareRow(row: TaskRow, task: Task): void {
  assert.deepEqual(Task.decode(row.toBytes()), task);
  assert.deepEqual(row.status(), task.status);
  assert.deepEqual(
    [row.serviceId, row.nodeId, row.slot, row.state, row.desiredState, row.version],
    [
      task.serviceId,
      task.nodeId,
      task.slot,
      task.status.state,
      task.desiredState,
      task.meta.version.index,
    ],
  );
  assert.deepEqual(
    [row.specVersion, row.jobIteration, row.message, row.err, row.allocated, row.attached],
    [
      task.specVersion?.index ?? -1,
      task.jobIteration?.index ?? -1,
      task.status.message,
      task.status.err,
      task.networks.length > 0 || task.endpoint !== undefined,
      task.networks.length > 0,
    ],
  );
  const { timestamp } = task.status;
  assert.equal(
    row.statusAtMs,
    timestamp === undefined ? 0 : timestamp.seconds * 1000 + timestamp.nanos / 1e6,
  );
}
