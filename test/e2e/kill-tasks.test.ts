/** Kill -9 of what a task is: a process, a container. */
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { TaskState } from '../../src/shared/wire/gen/types.ts';
import { Cluster } from '../support/cluster.ts';
import { DockerEngine, whyNoEngine } from '../support/dockerd.ts';
import { finish, restartAfter, settled, sleeper } from '../support/sleepers.ts';
import { Undo } from '../support/undo.ts';

test('a killed task is replaced after its restart delay', async () => {
  using undo = new Undo();
  const cluster = await Cluster.start({ undo, heartbeatPeriodMs: 5000 });
  await cluster.addWorker('one', 'process');
  const delayMs = 1500;
  const serviceId = await sleeper(cluster, 2, delayMs);
  const before = await settled(cluster, serviceId, 2);
  const [[victim, pid] = assert.fail(), [other] = assert.fail()] = before;
  const killedAt = Date.now();
  process.kill(pid, 'SIGKILL');
  const replacement = await cluster.until('another process runs', async () =>
    [...cluster.programs().keys()].find((id) => !before.has(id)),
  );
  assert.ok(Date.now() - killedAt >= delayMs, 'it was replaced before its time');
  assert.deepEqual(
    new Set((await settled(cluster, serviceId, 2)).keys()),
    new Set([other, replacement]),
  );
  const tasks = await cluster.tasks(serviceId);
  const [old, next] = [victim, replacement].map((id) => tasks.find((task) => task.id === id));
  assert.equal(old?.status.state, TaskState.FAILED);
  assert.equal(old?.status.err, 'task: non-zero exit (137)');
  assert.equal(next?.slot, old?.slot);
  await finish(cluster, serviceId);
});

test('containers: a killed one is replaced, and a killed worker goes on with them', async (t) => {
  const why = whyNoEngine();
  if (why !== undefined) return t.skip(why);
  using undo = new Undo();
  const cluster = await Cluster.start({ undo, heartbeatPeriodMs: 5000 });
  const directory = join(cluster.directory, 'engine');
  mkdirSync(directory);
  const flags = ['--bridge=none', '--iptables=false'];
  const engine = await DockerEngine.start({ directory, undo, flags });
  const engineAddress = `--engine-addr=unix://${engine.socketPath}`;
  const worker = await cluster.addWorker('one', 'docker', engineAddress);
  const delayMs = 1500;
  const container = { image: 'busybox:latest', command: ['sleep', '10000'] };
  const serviceId = await cluster.createService('sleeper', 2, {
    task: { runtime: { case: 'container', value: container }, ...restartAfter(delayMs) },
  });
  const containers = async (...filter: string[]): Promise<string[]> =>
    (await engine.docker('ps', '--quiet', ...filter)).split('\n').filter((id) => id !== '');
  const running = (): Promise<string[]> => containers();
  await cluster.settles(serviceId, 2);
  const before = await running();
  assert.equal(before.length, 2);

  const killedAt = Date.now();
  await engine.docker('kill', '--signal=KILL', before[0] ?? '');
  await cluster.until('another container runs', async () =>
    (await running()).some((id) => !before.includes(id)),
  );
  assert.ok(Date.now() - killedAt >= delayMs, 'it was replaced before its time');
  await cluster.settles(serviceId, 2);
  const after = await running();
  assert.ok(after.length === 2 && after.includes(before[1] ?? ''));

  await worker.kill();
  worker.start();
  await cluster.scale(serviceId, 3);
  await cluster.settles(serviceId, 3);
  const adopted = await running();
  assert.equal(adopted.length, 3);
  for (const id of after) assert.ok(adopted.includes(id), `${id} was not left alone`);
  await finish(cluster, serviceId, () => containers('--all'));
});
