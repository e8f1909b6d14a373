import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Service, Task } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { Bench } from './testing/bench.ts';

const { RUNNING, COMPLETE, FAILED, SHUTDOWN } = TaskState;
type Mode = Init<Service['spec']['mode']>;
type Row = readonly [state: TaskState, desired: TaskState, iteration?: number];

async function statusOf(mode: Mode, rows: readonly Row[]) {
  const bench = new Bench();
  const id = 's';
  const isJob = mode?.case === 'replicatedJob' || mode?.case === 'globalJob';
  const jobStatus = isJob ? { jobIteration: { index: 2 } } : undefined;
  await bench.write((tx) => {
    if (mode !== undefined) tx.services.create(Service.create({ id, spec: { mode }, jobStatus }));
    for (const [index, [state, desiredState, iteration]] of rows.entries()) {
      const jobIteration = iteration === undefined ? undefined : { index: iteration };
      const task = {
        id: `t${index}`,
        serviceId: id,
        status: { state },
        desiredState,
        jobIteration,
      };
      tx.tasks.create(Task.create(task));
    }
  });
  const { statuses } = await bench.call('ListServiceStatuses', { services: [id, 'none'] });
  assert.deepEqual(statuses[1], {
    serviceId: 'none',
    desiredTasks: 0,
    runningTasks: 0,
    completedTasks: 0,
  });
  const [status] = statuses;
  return [status?.desiredTasks, status?.runningTasks, status?.completedTasks];
}

test('[CTL84] desired, running and completed tasks of each mode', async () => {
  const usual: readonly Row[] = [
    [RUNNING, RUNNING],
    [RUNNING, SHUTDOWN],
    [FAILED, RUNNING],
    [COMPLETE, SHUTDOWN],
  ];
  const job: readonly Row[] = [
    [COMPLETE, COMPLETE, 2],
    [RUNNING, COMPLETE, 2],
    [FAILED, COMPLETE, 2],
    [COMPLETE, COMPLETE, 1],
    [RUNNING, COMPLETE, 1],
  ];
  const cases: readonly (readonly [Mode, readonly Row[], readonly number[]])[] = [
    [{ case: 'replicated', value: { replicas: 7n } }, usual, [7, 2, 0]],
    [{ case: 'global', value: {} }, usual, [2, 2, 0]],
    [{ case: 'replicatedJob', value: { maxConcurrent: 3n } }, job, [3, 2, 1]],
    [{ case: 'globalJob', value: {} }, job, [2, 2, 1]],
    [undefined, usual, [0, 2, 0]],
    [
      { case: 'replicated', value: { replicas: (1n << 63n) - 1n } },
      [],
      [Number.MAX_SAFE_INTEGER, 0, 0],
    ],
  ];
  for (const [mode, rows, expected] of cases) {
    assert.deepEqual(await statusOf(mode, rows), expected, mode?.case ?? 'unknown');
  }
});

test('[CTL84] one status for each id asked for, in that order', async () => {
  const bench = new Bench();
  const { statuses } = await bench.call('ListServiceStatuses', { services: ['b', 'a', 'b'] });
  assert.deepEqual(
    statuses.map(({ serviceId }) => serviceId),
    ['b', 'a', 'b'],
  );
});
