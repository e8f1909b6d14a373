/**
 * Kill -9 of workers and of the manager. What really runs is read from the machine's own process list,
 * so that nothing which the cluster has forgotten stays unseen.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeStatusState, TaskState } from '../../src/shared/wire/gen/types.ts';
import { Cluster } from '../support/cluster.ts';
import { finish, idsOf, restartAfter, settled, sleeper } from '../support/sleepers.ts';
import { Undo } from '../support/undo.ts';

const { DOWN, READY } = NodeStatusState;

test('a killed worker loses its tasks to others, and ends them when it is back', async () => {
  using undo = new Undo();
  const cluster = await Cluster.start({ undo });
  const worker = await cluster.addWorker('one', 'process');
  const other = await cluster.addWorker('two', 'process');
  const serviceId = await sleeper(cluster, 6);
  const before = await settled(cluster, serviceId, 6);
  const { service } = await cluster.control.CreateService({
    spec: {
      annotations: { name: 'everywhere' },
      task: cluster.program('sleep', '10000'),
      mode: { case: 'global', value: {} },
    },
  });
  const everywhere = service?.id ?? '';
  await cluster.settles(everywhere, 2);

  await worker.kill();
  const { id: lostId } = await cluster.nodeIs('one', DOWN);
  await cluster.until('no task is meant to run on the lost node', async () => {
    const tasks = await cluster.settles(serviceId, 6);
    return tasks.every((task) => task.nodeId !== lostId);
  });
  const kept = [...before.keys()].filter((id) => cluster.programs().has(id));
  assert.equal(kept.length, 6, 'a worker’s death ends no process');
  await cluster.control.RemoveService({ serviceId: everywhere });

  worker.start();
  await cluster.nodeIs('one', READY);
  const wanted = idsOf(await cluster.settles(serviceId, 6));
  await cluster.until('only what is meant to run does', async () => {
    const running = cluster.programs();
    return running.size === 6 && [...wanted].every((id) => running.has(id));
  });
  await cluster.until('the removed service is gone', async () => {
    return (await cluster.tasks(everywhere)).length === 0;
  });
  await cluster.until('the lost tasks are known to be over', async () => {
    const tasks = await cluster.tasks(serviceId);
    return tasks.every((task) => wanted.has(task.id) || task.status.state > TaskState.RUNNING);
  });
  // It is a worker like any other again.
  await other.kill();
  await cluster.nodeIs('two', DOWN);
  await cluster.until('the one that came back runs all', async () => {
    const tasks = await cluster.settles(serviceId, 6);
    return tasks.every((task) => task.nodeId === lostId);
  });
  other.start();
  await cluster.nodeIs('two', READY);
  await finish(cluster, serviceId);
});

test('a worker that is back in time goes on with its tasks', async () => {
  using undo = new Undo();
  const cluster = await Cluster.start({ undo, heartbeatPeriodMs: 10_000 });
  const worker = await cluster.addWorker('one', 'process');
  const serviceId = await sleeper(cluster, 4);
  const before = await settled(cluster, serviceId, 4);
  for (let kills = 0; kills < 2; kills += 1) {
    await worker.kill();
    worker.start();
    // The task that this adds runs only once the worker is back.
    await cluster.scale(serviceId, 5 + kills);
    const after = await settled(cluster, serviceId, 5 + kills);
    for (const [id, pid] of before) assert.equal(after.get(id), pid, `${id} was not left alone`);
  }
  await finish(cluster, serviceId);
});

test('workers keep their tasks while the manager is gone, and it goes on where it was', async () => {
  using undo = new Undo();
  const cluster = await Cluster.start({ undo, executor: 'process', heartbeatPeriodMs: 3000 });
  const { manager } = cluster;
  await cluster.addWorker('one', 'process');
  const serviceId = await sleeper(cluster, 6);
  const before = await settled(cluster, serviceId, 6);
  const nodes = new Set((await cluster.tasks(serviceId)).map((task) => task.nodeId));
  assert.equal(nodes.size, 2, 'the manager runs tasks as well');

  await manager.kill();
  const [[victim, pid] = assert.fail()] = before;
  process.kill(pid, 'SIGKILL');
  await cluster.until('the process is gone', async () => cluster.programs().size === 5);
  manager.start();
  await cluster.answers();
  await cluster.until('the one that ended meanwhile is replaced', async () => {
    const tasks = await cluster.settles(serviceId, 6);
    return tasks.every((task) => task.id !== victim);
  });
  const after = await settled(cluster, serviceId, 6);
  for (const [id, own] of before) {
    if (id !== victim) assert.equal(after.get(id), own, `${id} was not left alone`);
  }

  // Acknowledged is kept: each change is followed by a kill at once.
  for (const replicas of [12, 4, 9]) {
    await cluster.scale(serviceId, replicas);
    await manager.kill();
    manager.start();
    await cluster.answers();
    await cluster.settles(serviceId, replicas);
    await cluster.until('what runs is what is meant to run', async () => {
      return cluster.programs().size === replicas;
    });
    await settled(cluster, serviceId, replicas);
  }
  await finish(cluster, serviceId);
});

test('hundreds of tasks of a killed worker are spread over the others', async () => {
  using undo = new Undo();
  const cluster = await Cluster.start({ undo });
  const names = ['one', 'two', 'three'];
  const [worker = assert.fail()] = await Promise.all(
    names.map((name) => cluster.addWorker(name, 'simulated')),
  );
  const image = { runtime: { case: 'container', value: { image: 'any' } } } as const;
  const serviceId = await cluster.createService('many', 300, {
    task: { ...image, ...restartAfter(0) },
  });
  const shares = async (replicas: number): Promise<number[]> => {
    const tasks = await cluster.settles(serviceId, replicas);
    assert.equal(new Set(tasks.map((task) => task.slot)).size, replicas, 'each slot runs once');
    const byNode = Map.groupBy(tasks, (task) => task.nodeId).values();
    return [...byNode].map((own) => own.length).toSorted((a, b) => a - b);
  };
  assert.deepEqual(await shares(300), [100, 100, 100]);
  await worker.kill();
  const lost = await cluster.nodeIs('one', DOWN);
  await cluster.until('its share has moved', async () => (await shares(300)).length === 2);
  assert.deepEqual(await shares(300), [150, 150]);
  worker.start();
  await cluster.nodeIs('one', READY);
  await cluster.scale(serviceId, 450);
  assert.deepEqual(await shares(450), [150, 150, 150]);
  await cluster.until('the lost tasks are known to be over', async () => {
    const tasks = await cluster.tasks(serviceId);
    const here = tasks.filter((task) => task.nodeId === lost.id);
    const running = here.filter((task) => task.status.state <= TaskState.RUNNING);
    return running.length === 150;
  });
  await finish(cluster, serviceId);
});
