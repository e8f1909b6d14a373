import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Task } from '../../shared/wire/gen/objects.ts';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { TaskDatabase } from './task-database.ts';

const task = Task.create({ id: 't1', status: { state: TaskState.ASSIGNED } });
const running = TaskStatus.create({ state: TaskState.RUNNING });

test('tasks and what became of them are there after a restart', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-tasks-'));
  try {
    {
      await using database = new TaskDatabase(directory);
      await database.assign([task]);
      await database.setStatuses([
        { taskId: 't1', status: running },
        { taskId: 'nobody', status: running },
      ]);
      await database.assign([task]);
    }
    await using database = new TaskDatabase(directory);
    assert.deepEqual(database.ids(), ['t1']);
    assert.deepEqual(database.status('t1'), running);
    assert.equal(Task.decode(database.get('t1') ?? new Uint8Array()).status.state, running.state);
    await database.remove(['t1']);
    assert.deepEqual([...database.all()], []);
  } finally {
    await rm(directory, { recursive: true });
  }
});

test('while it is being closed it is as if empty, and takes nothing more', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-tasks-'));
  try {
    const database = new TaskDatabase(directory);
    await database.assign([task]);
    const closed = database[Symbol.asyncDispose]();
    assert.deepEqual(
      [database.has('t1'), database.ids(), database.get('t1')],
      [false, [], undefined],
    );
    await database.setStatuses([{ taskId: 't1', status: running }]);
    await database.remove(['t1']);
    await closed;
    // LMDB forgets its last read in a later turn, and throws there if it was one after the close.
    await new Promise((resolve) => setTimeout(resolve, 5));
    await using again = new TaskDatabase(directory);
    assert.deepEqual(again.ids(), ['t1']);
    assert.equal(again.status('t1')?.state, TaskState.ASSIGNED);
  } finally {
    await rm(directory, { recursive: true });
  }
});
