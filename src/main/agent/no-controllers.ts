/**
 * The controllers of a manager that runs no tasks (`--executor none`): the node still registers, so
 * that it is seen, and refuses what is assigned to it with a clear word.
 */
import { arch, hostname } from 'node:os';
import { RUNTIME_NONE, RUNTIME_PLUGIN } from '../../shared/lanes/placement.ts';
import { timestampOf } from '../../shared/model/time.ts';
import type { Env } from '../../shared/kit/env.ts';
import { Task } from '../../shared/wire/gen/objects.ts';
import { NodeDescription, TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { TaskLogs } from '../pools/task-logs.ts';
import type { StatusUpdate, StoredTask } from '../pools/tasks.ts';
import type { AgentControllers } from './agent.ts';

export const NO_EXECUTOR = 'this node runs no tasks: its manager was started with --executor none';

const nothing = (): void => undefined;

type Events = {
  readonly env: Env;
  readonly onStatuses: (updates: readonly StatusUpdate[]) => void;
  readonly onRemoved: (ids: readonly string[]) => void;
};

export function noControllers({ env, onStatuses, onRemoved }: Events): AgentControllers {
  const refuse = ({ id, bytes }: StoredTask): StatusUpdate => {
    const { status } = Task.decode(bytes);
    const timestamp = timestampOf(env.nowMs());
    const state = TaskState.REJECTED;
    return {
      taskId: id,
      status: TaskStatus.create({ ...status, timestamp, state, err: NO_EXECUTOR }),
    };
  };
  const architecture = arch() === 'x64' ? 'x86_64' : arch();
  return {
    assign: async (tasks) => onStatuses(tasks.map(refuse)),
    remove: (ids) => onRemoved(ids),
    changeSecrets: () => undefined,
    changeConfigs: () => undefined,
    replaceDependencies: () => undefined,
    describe: async () =>
      NodeDescription.create({
        hostname: hostname(),
        platform: { os: 'linux', architecture },
        resources: {},
        engine: { plugins: [{ type: RUNTIME_PLUGIN, name: RUNTIME_NONE }] },
      }),
    logs: (message) => new TaskLogs({ message, threads: 0, credit: nothing, over: nothing }),
  };
}
