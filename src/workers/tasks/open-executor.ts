/** The executor that a worker was started with. */
import type { TaskThreadData } from '../../shared/lanes/tasks.ts';
import { dockerExecutor } from './executors/docker/executor.ts';
import type { Executor, ExecutorLog } from './executors/executor.ts';
import { processExecutor } from './executors/process/executor.ts';
import { simulatedExecutor, type Clock } from './executors/simulated/executor.ts';

export function openExecutor(data: TaskThreadData, clock: Clock, log: ExecutorLog): Executor {
  const node = { nodeId: data.nodeId, hostname: data.hostname };
  const labels = Object.fromEntries(data.labels);
  const choice = data.executor;
  if (choice.kind === 'docker') return dockerExecutor(node, { ...choice, labels }, log);
  if (choice.kind === 'process') return processExecutor(node, { ...choice, labels }, log);
  return simulatedExecutor(node, clock, { ...choice, labels });
}
