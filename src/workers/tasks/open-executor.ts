/** The executor that a worker was started with. */
import type { TaskThreadData } from '../../shared/lanes/tasks.ts';
import { dockerExecutor } from './executors/docker/executor.ts';
import type { Executor, ExecutorLog } from './executors/executor.ts';
import { simulatedExecutor, type Clock } from './executors/simulated/executor.ts';

export function openExecutor(data: TaskThreadData, clock: Clock, log: ExecutorLog): Executor {
  const node = { nodeId: data.nodeId, hostname: data.hostname };
  const labels = Object.fromEntries(data.labels);
  const choice = data.executor;
  switch (choice.kind) {
    case 'simulated':
      return simulatedExecutor(node, clock, { ...choice, labels });
    case 'docker':
      return dockerExecutor(node, { ...choice, labels }, log);
    case 'process':
      break;
  }
  throw new Error('not yet');
}
