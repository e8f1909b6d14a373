/** What nodes report, and what of it the store takes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Volume } from '../../shared/wire/gen/objects.ts';
import type { UpdateTaskStatusRequest } from '../../shared/wire/gen/dispatcher.ts';
import {
  TaskState,
  type TaskStatus,
  VolumePublishStatusState,
} from '../../shared/wire/gen/types.ts';
import { millisOf } from '../../shared/model/time.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import type { Commit } from '../store/transaction.ts';
import { Code } from '../rpc/errors.ts';
import { Bench, MANAGER } from './testing/bench.ts';
import { status } from './testing/calls.ts';

const { STARTING, RUNNING, PREPARING, FAILED } = TaskState;

async function open() {
  const bench = await Bench.open(['n1', 'n2']);
  const { sessionId } = await bench.register();
  await bench.createTask('t');
  const report = (updates: Init<UpdateTaskStatusRequest>['updates']): Promise<unknown> =>
    bench.calls.ask('n1', 'UpdateTaskStatus', { sessionId, ...(updates && { updates }) });
  const stored = (id = 't'): TaskStatus | undefined =>
    bench.store.view((view) => view.tasks.get(id)?.status());
  return { bench, sessionId, report, stored };
}

/** The next commit that the store hears. */
function nextCommit(bench: Bench): Promise<Commit> {
  const { promise, resolve } = Promise.withResolvers<Commit>();
  const end = bench.store.watch((commit) => {
    end();
    resolve(commit);
  });
  return promise;
}

test('[DSP10] a report is stored as the node gave it, with who applied it and when', async () => {
  const { bench, report, stored } = await open();
  await using _ = bench;
  const timestamp = { seconds: 5, nanos: 6 };
  const runtime = { case: 'container', value: { containerId: 'c', pid: 7, exitCode: 0 } } as const;
  const commit = nextCommit(bench);
  await report([
    { taskId: 't', status: { state: RUNNING, timestamp, message: 'up', runtimeStatus: runtime } },
  ]);
  await commit;
  const found = stored();
  assert.ok(found);
  const { state, message, appliedBy, appliedAt, runtimeStatus, timestamp: at } = found;
  assert.deepEqual([state, message, appliedBy], [RUNNING, 'up', MANAGER]);
  assert.deepEqual([runtimeStatus?.value.containerId, at], ['c', timestamp]);
  assert.equal(millisOf(appliedAt), bench.nowMs);
});

test('[DSP10] of a window the last report counts, and states never go back', async () => {
  const { bench, report, stored } = await open();
  await using _ = bench;
  const first = nextCommit(bench);
  for (const state of [PREPARING, STARTING, RUNNING, STARTING]) {
    await report([{ taskId: 't', status: { state, message: String(state) } }]);
  }
  assert.equal((await first).changes.length, 1);
  assert.equal(stored()?.message, String(RUNNING));
  await report([{ taskId: 't', status: { state: STARTING, message: 'late' } }]);
  await bench.createTask('u');
  const next = nextCommit(bench);
  await report([{ taskId: 'u', status: { state: FAILED, err: 'task: non-zero exit (3)' } }]);
  await next;
  assert.deepEqual([stored()?.state, stored('u')?.err], [RUNNING, 'task: non-zero exit (3)']);
});

test('[DSP12] a report that repeats what is stored writes nothing', async () => {
  const { bench, report } = await open();
  await using _ = bench;
  const same = { taskId: 't', status: { state: RUNNING, timestamp: { seconds: 5, nanos: 0 } } };
  const first = nextCommit(bench);
  await report([same]);
  await first;
  await bench.createTask('u');
  const second = nextCommit(bench);
  await report([same, { ...same, taskId: 'u' }]);
  const written = (await second).changes.map(({ object }) => object.id);
  assert.deepEqual(written, ['u']);
});

test('[DSP11] a report on another node’s task refuses the call and all that is in it', async () => {
  const { bench, report, stored } = await open();
  await using _ = bench;
  await bench.createTask('foreign', { nodeId: 'n2' });
  const call = report([
    { taskId: 't', status: { state: RUNNING } },
    { taskId: 'foreign', status: { state: RUNNING } },
  ]);
  const text = 'cannot update a task not assigned this node';
  await assert.rejects(call, status(Code.PERMISSION_DENIED, text));
  await bench.createTask('u');
  const next = nextCommit(bench);
  await report([
    { taskId: 'unknown', status: { state: RUNNING } },
    { taskId: 't', status: undefined },
    { taskId: '', status: undefined },
    { taskId: 'u', status: { state: RUNNING } },
  ]);
  assert.equal((await next).changes.length, 1);
  assert.deepEqual([stored()?.state, stored('u')?.state], [TaskState.ASSIGNED, RUNNING]);
});

test('[DSP11] a task that goes between report and write is skipped', async () => {
  const { bench, report, stored } = await open();
  await using _ = bench;
  await bench.createTask('u');
  await report(['t', 'u'].map((taskId) => ({ taskId, status: { state: RUNNING } })));
  await bench.write((tx) => tx.tasks.remove('t'));
  await nextCommit(bench);
  assert.deepEqual([stored(), stored('u')?.state], [undefined, RUNNING]);
  assert.deepEqual(bench.warnings, []);
});

test('reports need a session, like all else', async () => {
  const { bench } = await open();
  await using _ = bench;
  const call = (sessionId: string, nodeId: string): Promise<unknown> =>
    bench.calls.ask(nodeId, 'UpdateTaskStatus', { sessionId, updates: [] });
  await assert.rejects(call('old', 'n1'), status(Code.INVALID_ARGUMENT, 'session invalid'));
  await assert.rejects(call('', 'n2'), status(Code.NOT_FOUND, 'node not registered'));
});

test('a volume that a node has let go may be unpublished; unknown ones are skipped', async () => {
  const { bench, sessionId } = await open();
  await using _ = bench;
  const { PUBLISHED, PENDING_UNPUBLISH } = VolumePublishStatusState;
  const publishStatus = ['n1', 'n2'].map((nodeId) => ({ nodeId, state: PUBLISHED }));
  await bench.write((tx) => tx.volumes.create(Volume.create({ id: 'v', publishStatus })));
  const updates = ['v', 'none'].map((id) => ({ id, unpublished: true }));
  await bench.calls.ask('n1', 'UpdateVolumeStatus', { sessionId, updates });
  const states = bench.store.view((view) => view.volumes.get('v')?.publishStatus);
  assert.deepEqual(
    states?.map(({ nodeId, state }) => [nodeId, state]),
    [
      ['n1', PENDING_UNPUBLISH],
      ['n2', PUBLISHED],
    ],
  );
});
