/** Messages of assignments against the real task database and controllers that only listen. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  AssignmentChangeAssignmentAction,
  AssignmentsMessage,
  AssignmentsMessageType,
} from '../../shared/wire/gen/dispatcher.ts';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { AssignmentGap, Assignments } from './assignments.ts';
import { Dependencies } from './dependencies.ts';
import { TaskDatabase } from './task-database.ts';
import { FakeControllers } from './testing/fake-controllers.ts';

type Change = NonNullable<Init<AssignmentsMessage>['changes']>[number];

const { REMOVE } = AssignmentChangeAssignmentAction;
const { ASSIGNED, RUNNING, SHUTDOWN } = TaskState;

const task = (id: string, state: TaskState = ASSIGNED, err = ''): Change => ({
  assignment: { item: { case: 'task', value: { id, status: { state, err } } } },
});
const secret = (id: string, data = ''): Change => ({
  assignment: { item: { case: 'secret', value: { id, spec: { data: Buffer.from(data) } } } },
});
const config = (id: string): Change => ({
  assignment: { item: { case: 'config', value: { id } } },
});
const gone = (change: Change): Change => ({ ...change, action: REMOVE });

const complete = (...changes: Change[]): AssignmentsMessage =>
  AssignmentsMessage.create({ resultsIn: '1', changes });
const next = (at: number, ...changes: Change[]): AssignmentsMessage =>
  AssignmentsMessage.create({
    type: AssignmentsMessageType.INCREMENTAL,
    appliesTo: String(at),
    resultsIn: String(at + 1),
    changes,
  });

class Bench implements AsyncDisposable {
  readonly directory: string;
  readonly database: TaskDatabase;
  readonly dependencies = new Dependencies();
  readonly controllers = new FakeControllers();
  readonly forgotten: string[] = [];
  readonly assignments: Assignments;

  constructor(directory: string) {
    this.directory = directory;
    this.database = new TaskDatabase(directory);
    this.assignments = new Assignments(
      this.database,
      this.dependencies,
      this.controllers,
      (taskId) => void this.forgotten.push(taskId),
    );
  }

  static async open(): Promise<Bench> {
    return new Bench(await mkdtemp(join(tmpdir(), 'skein-assignments-')));
  }

  async apply(...messages: AssignmentsMessage[]): Promise<void> {
    for (const message of messages) await this.assignments.apply(message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.database[Symbol.asyncDispose]();
    await rm(this.directory, { recursive: true });
  }
}

test('[AGT3] a task is stored before its controller gets it', async () => {
  await using bench = await Bench.open();
  const found: boolean[] = [];
  bench.controllers.onAssign = (ids) => void found.push(...ids.map((id) => bench.database.has(id)));
  await bench.apply(complete(task('a'), task('b')));
  assert.deepEqual(found, [true, true]);
  assert.deepEqual(bench.controllers.told, ['replace', 'assign a b']);
});

test('[AGT3] a known task keeps the status that this node has seen, also after a restart', async () => {
  await using bench = await Bench.open();
  await bench.apply(complete(task('a', ASSIGNED, 'an old complaint')));
  const seen = TaskStatus.create({ state: RUNNING, message: 'started' });
  await bench.database.setStatuses([{ taskId: 'a', status: seen }]);
  await bench.apply(next(1, task('a', ASSIGNED, 'an old complaint')));
  assert.deepEqual(bench.controllers.tasks.get('a')?.status, seen);
  await bench.database.setStatuses([{ taskId: 'unknown', status: seen }]);
  assert.equal(bench.database.status('unknown'), undefined);
  await bench.database[Symbol.asyncDispose]();
  await using again = new TaskDatabase(bench.directory);
  assert.deepEqual(
    [...again.all()].map(({ id }) => [id, again.status(id)]),
    [['a', seen]],
  );
});

test('[AGT4] secrets and configs are there before tasks, and never on the disk', async () => {
  await using bench = await Bench.open();
  await bench.apply(complete(task('a'), secret('s0')));
  await bench.apply(next(1, task('b'), config('c1'), secret('s1', 'very secret words')));
  await bench.apply(next(2, gone(secret('s1')), gone(config('c1')), gone(task('b'))));
  assert.deepEqual(bench.controllers.told, [
    'replace',
    'assign a',
    'secrets +s1',
    'configs +c1',
    'assign b',
    'secrets -s1',
    'configs -c1',
    'remove b',
  ]);
  assert.deepEqual(
    [...bench.dependencies.secrets()].map(({ id }) => id),
    ['s0'],
  );
  const file = await readFile(join(bench.directory, 'tasks.mdb'));
  assert.equal(file.includes('very secret words'), false);
});

test('[AGT5] a complete message removes what it does not name', async () => {
  await using bench = await Bench.open();
  await bench.apply(complete(task('a'), task('b'), secret('s1')));
  bench.assignments.open();
  await bench.apply(complete(task('b'), secret('s2')));
  assert.deepEqual(bench.database.ids(), ['b']);
  assert.deepEqual([...bench.controllers.tasks.keys()], ['b']);
  assert.deepEqual(bench.forgotten, ['a']);
  assert.deepEqual(
    [...bench.dependencies.secrets()].map(({ id }) => id),
    ['s2'],
  );
  bench.assignments.open();
  await bench.apply(complete());
  assert.deepEqual(bench.database.ids(), []);
});

test('[AGT6] a message out of sequence changes nothing', async () => {
  await using bench = await Bench.open();
  await bench.apply(complete(task('a')), next(1, task('b')));
  for (const message of [next(1, gone(task('a'))), next(3, task('c')), complete()]) {
    await assert.rejects(bench.apply(message), AssignmentGap);
  }
  assert.deepEqual(bench.database.ids(), ['a', 'b']);
  await bench.apply(next(2, gone(task('a'))));
  assert.deepEqual(bench.database.ids(), ['b']);
});

test('[AGT6] a new stream waits for what the old one is still applying', async () => {
  await using bench = await Bench.open();
  const entered = Promise.withResolvers<void>();
  const slow = Promise.withResolvers<void>();
  bench.controllers.onAssign = () => {
    entered.resolve();
    return slow.promise;
  };
  const old = bench.assignments.apply(complete(task('a')));
  await entered.promise;
  bench.assignments.open();
  const fresh = bench.assignments.apply(complete());
  slow.resolve();
  await Promise.all([old, fresh]);
  assert.deepEqual(bench.controllers.told.slice(1), ['assign a', 'replace', 'remove a']);
  assert.deepEqual([bench.database.ids(), bench.controllers.tasks.size], [[], 0]);
});

test('a message whose application fails does not stop the next stream', async () => {
  await using bench = await Bench.open();
  bench.controllers.onAssign = () => Promise.reject(new Error('the disk is full'));
  await assert.rejects(bench.apply(complete(task('a'))), /the disk is full/);
  bench.controllers.onAssign = () => undefined;
  bench.assignments.open();
  await bench.apply(complete(task('a', SHUTDOWN)));
  assert.equal(bench.controllers.tasks.size, 1);
});

test('[AGT8] leaving takes every task away and takes no other on', async () => {
  await using bench = await Bench.open();
  await bench.apply(complete(task('a'), task('b')));
  await bench.assignments.leave();
  await bench.apply(next(1, task('c')));
  assert.deepEqual([bench.database.ids(), bench.controllers.tasks.size], [[], 0]);
});
