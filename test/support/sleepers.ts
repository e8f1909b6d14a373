/** Services that only sleep, for tests that kill what runs them, and what must be left of them: nothing. */
import assert from 'node:assert/strict';
import { durationOf } from '../../src/shared/model/time.ts';
import type { Task } from '../../src/shared/wire/gen/objects.ts';
import { RestartPolicyRestartCondition } from '../../src/shared/wire/gen/types.ts';
import type { Cluster } from './cluster.ts';

const { ANY } = RestartPolicyRestartCondition;

export const restartAfter = (ms: number) => ({
  restart: { condition: ANY, delay: durationOf(ms) },
});

export const idsOf = (tasks: readonly Task[]): Set<string> => new Set(tasks.map((task) => task.id));

/** Processes by task, for a service that has settled. */
export async function settled(
  cluster: Cluster,
  serviceId: string,
  replicas: number,
): Promise<ReadonlyMap<string, number>> {
  const tasks = await cluster.settles(serviceId, replicas);
  const programs = cluster.programs();
  assert.deepEqual(new Set(programs.keys()), idsOf(tasks), 'what runs is what is meant to run');
  return programs;
}

export const sleeper = (cluster: Cluster, replicas: number, delayMs = 200): Promise<string> =>
  cluster.createService('sleeper', replicas, {
    task: { ...cluster.program('sleep', '10000'), ...restartAfter(delayMs) },
  });

/** Removes the service; nothing of it may stay, here or there. Then everybody ends well. */
export async function finish(
  cluster: Cluster,
  serviceId: string,
  left: () => Promise<readonly unknown[]> = async () => cluster.taskFolders(),
): Promise<void> {
  await cluster.control.RemoveService({ serviceId });
  await cluster.until('nothing is left of the service', async () => {
    const isKnown = (await cluster.tasks(serviceId)).length > 0;
    return !isKnown && cluster.programs().size === 0 && (await left()).length === 0;
  });
  for (const daemon of [...cluster.workers.values(), cluster.manager]) {
    assert.deepEqual(await daemon.stop(), { code: 0, signal: null }, daemon.tail());
  }
  assert.deepEqual(cluster.traces(), [], 'nothing is left elsewhere');
}
