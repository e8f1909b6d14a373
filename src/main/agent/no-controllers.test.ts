import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';
import { Task } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { realEnv } from '../env.ts';
import type { StatusUpdate } from '../pools/tasks.ts';
import { NO_EXECUTOR, noControllers } from './no-controllers.ts';

test('a manager that runs no tasks describes itself and refuses tasks with a word', async () => {
  const statuses: StatusUpdate[] = [];
  const removed: string[] = [];
  const controllers = noControllers({
    env: { ...realEnv, nowMs: () => 1_500 },
    onStatuses: (updates) => void statuses.push(...updates),
    onRemoved: (ids) => void removed.push(...ids),
  });
  const bytes = Task.encode(Task.create({ id: 't', status: { state: TaskState.ASSIGNED } }));
  await controllers.assign([{ id: 't', bytes }]);
  const [update] = statuses;
  assert.deepEqual(
    [update?.taskId, update?.status.state, update?.status.err, update?.status.timestamp],
    ['t', TaskState.REJECTED, NO_EXECUTOR, { seconds: 1, nanos: 500_000_000 }],
  );
  controllers.remove(['t']);
  assert.deepEqual(removed, ['t']);
  const { engine, platform, hostname } = await controllers.describe();
  assert.deepEqual([platform?.os, hostname.length > 0], ['linux', true]);
  assert.deepEqual(engine?.plugins, [{ type: 'Runtime', name: 'none' }]);
  const lines: unknown[] = [];
  for await (const line of controllers.logs(SubscriptionMessage.create({ id: 's' })))
    lines.push(line);
  assert.deepEqual(lines, []);
});
