/**
 * When managers are lost for good: the last one goes on alone, or a backup is restored elsewhere. The
 * workers, a stock Docker Engine among them, go on without joining again, and so do their tasks.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Node, Task } from '../../src/shared/wire/gen/objects.ts';
import type { ContainerSpec } from '../../src/shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import { Daemon } from '../support/daemon.ts';
import { DockerEngine, whyNoEngine } from '../support/dockerd.ts';
import { LabNetwork } from '../support/lab-network.ts';
import { type ManagerProcess, Managers } from '../support/managers.ts';
import { type Finished, tryRun } from '../support/run.ts';
import { containerOf } from '../support/swarm.ts';
import { Undo } from '../support/undo.ts';

const CALL = { timeoutMs: 20_000 } as const;
const SKEIN = fileURLToPath(new URL('../../bin/skein.ts', import.meta.url));
const skein = (...args: readonly string[]): Promise<Finished> =>
  tryRun(process.execPath, SKEIN, ...args);

/** What a command prints. @throws Error when it fails */
async function printed(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await skein(...args);
  assert.equal(code, 0, `skein ${args.join(' ')}: ${stderr}`);
  return stdout;
}

type Where = { readonly replicas: number; readonly constraint: string };

async function create(
  { control }: ManagerProcess,
  name: string,
  container: Init<ContainerSpec>,
  { replicas, constraint }: Where,
): Promise<string> {
  const spec = {
    annotations: { name },
    task: {
      runtime: { case: 'container', value: container },
      placement: { constraints: [constraint] },
    },
    mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
  } as const;
  const { service } = await control.CreateService({ spec }, CALL);
  return service?.id ?? assert.fail();
}

async function scale({ control }: ManagerProcess, serviceId: string, replicas: number) {
  const { service } = await control.GetService({ serviceId }, CALL);
  assert.ok(service);
  const spec = {
    ...service.spec,
    mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
  } as const;
  await control.UpdateService({ serviceId, serviceVersion: service.meta.version, spec }, CALL);
  return true;
}

/** The tasks that run, once there are so many and no more are meant to. */
function running(managers: Managers, serviceId: string, count: number): Promise<readonly Task[]> {
  return managers.until(`${count} tasks run`, async () => {
    const filters = { serviceIds: [serviceId] };
    const { tasks } = await managers.anyRunning().control.ListTasks({ filters }, CALL);
    const wanted = tasks.filter((task) => task.desiredState <= TaskState.RUNNING);
    const there = wanted.filter((task) => task.status.state === TaskState.RUNNING);
    return wanted.length === count && there.length === count && there;
  });
}

const idsOf = (tasks: readonly Task[]): string[] => tasks.map(({ id }) => id).toSorted();

/** A Docker Engine that has joined as a worker, in a network of its own. */
async function engineIn(managers: Managers, network: LabNetwork, undo: Undo) {
  const directory = mkdtempSync(join(tmpdir(), 'skein-engine-'));
  undo.add('remove the files of the engine', () => rmSync(directory, { recursive: true }));
  const { prefix } = network.namespace();
  const flags = ['--bip=172.31.255.1/24'];
  const engine = await DockerEngine.start({ directory, undo, prefix, flags });
  const [first = assert.fail()] = managers.all;
  const token = (await managers.cluster(first)).rootCa.joinTokens.worker;
  await engine.docker('swarm', 'join', '--token', token, first.address);
  const nodeId = await engine.docker('info', '-f', '{{.Swarm.NodeID}}');
  await managers.until('the engine is a node', async () => {
    const node = (await managers.nodes()).find(({ id }) => id === nodeId);
    return node?.status.state === NodeStatusState.READY;
  });
  const startedAt = (container: string): Promise<string> =>
    engine.docker('inspect', '-f', '{{.State.StartedAt}}', container);
  return { nodeId, startedAt };
}

const ready = (managers: Managers, nodes: readonly Pick<Node, 'id'>[]): Promise<true | undefined> =>
  managers.until('the workers are back, as who they were', async () => {
    const now = new Map((await managers.nodes()).map(({ id, status }) => [id, status.state]));
    return nodes.every(({ id }) => now.get(id) === NodeStatusState.READY) || undefined;
  });

test('the last of three managers goes on alone, with the same workers and tasks', async () => {
  using undo = new Undo();
  const network = whyNoEngine() === undefined ? new LabNetwork(undo) : undefined;
  const managers = new Managers(undo, network && { network });
  // With the usual period of heartbeats: a node that is away for less than half a minute keeps its tasks.
  await managers.start(3);
  const [first = assert.fail(), second = assert.fail(), third = assert.fail()] = managers.all;
  await managers.fleet(5);
  const workers = (await managers.nodes()).filter(({ managerStatus }) => !managerStatus);
  const engine = network && (await engineIn(managers, network, undo));
  const placed = { replicas: 10, constraint: `node.id!=${engine?.nodeId ?? 'none'}` };
  const simulated = await create(first, 'simulated', { image: 'none' }, placed);
  const before = idsOf(await running(managers, simulated, 10));
  const real =
    engine &&
    (await create(
      first,
      'real',
      { image: 'busybox:latest', command: ['sleep', '1000'] },
      { replicas: 1, constraint: `node.id==${engine.nodeId}` },
    ));
  const [task] = real === undefined ? [] : await running(managers, real, 1);
  const startedAt = task && (await engine?.startedAt(containerOf(task)));

  // Two are lost with their disks; the third knows it, and goes on only when it is told to.
  for (const lost of [first, second]) {
    await lost.daemon.kill();
    rmSync(lost.stateDir, { recursive: true });
  }
  const status = ['cluster', 'status', '--socket', third.socketPath];
  const told = await managers.until('the quorum is seen to be lost', async () => {
    const answer = await skein(...status);
    return answer.code === 1 && answer;
  });
  assert.match(told.stderr, /^Error: No quorum: 1 of 3 managers answers, 2 are needed\./);
  assert.match(told.stderr, new RegExp(`m1 \\(${first.address} (refused|cannot|did not)`));
  await third.daemon.kill();
  const alone = managers.again(third, '--force-new-cluster');
  alone.daemon.start();

  await ready(managers, [...workers, ...(engine ? [{ id: engine.nodeId }] : [])]);
  assert.deepEqual(idsOf(await running(managers, simulated, 10)), before);
  if (engine && real !== undefined && task) {
    assert.deepEqual(idsOf(await running(managers, real, 1)), [task.id]);
    assert.equal(await engine.startedAt(containerOf(task)), startedAt, 'it was not restarted');
  }
  // It is a cluster like any.
  await managers.until('the service is scaled', () => scale(alone, simulated, 12));
  const after = idsOf(await running(managers, simulated, 12));
  assert.ok(before.every((id) => after.includes(id)));
  await managers.add();
  assert.match(await printed(...status), /, led by m3 at /);
  for (const name of ['m1', 'm2']) {
    await printed('node', 'rm', '--force', name, '--socket', alone.socketPath);
  }

  // The flag was left on the command line: it would leave the new one behind.
  await alone.daemon.stop();
  alone.daemon.start();
  assert.equal((await alone.daemon.ended).code, 1);
  assert.match(
    alone.daemon.tail(),
    /--force-new-cluster: it was done when this manager started last/,
  );
});

test('a backup is restored at another address, and workers that are told of it go on', async () => {
  using undo = new Undo();
  const network = whyNoEngine() === undefined ? new LabNetwork(undo) : undefined;
  const managers = new Managers(undo, network && { network });
  await managers.start(2);
  const [first = assert.fail(), second = assert.fail()] = managers.all;
  const cluster = await managers.cluster(first);
  const folder = mkdtempSync(join(tmpdir(), 'skein-recovery-'));
  undo.add(`remove ${folder}`, () => rmSync(folder, { recursive: true }));
  const worker = (name: string, address: string, ...flags: readonly string[]): Daemon => {
    const state = ['--state-dir', join(folder, name), '--hostname', name];
    const args = ['worker', ...state, '--executor', 'simulated', '--join-addr', address, ...flags];
    return new Daemon({ name, args, logFile: join(folder, `${name}.log`), undo });
  };
  const names = ['w1', 'w2'];
  const token = ['--join-token', cluster.rootCa.joinTokens.worker];
  const started = names.map((name) => worker(name, first.address, ...token));
  for (const daemon of started) daemon.start();
  const nodes: Node[] = [];
  for (const name of names) nodes.push(await managers.nodeIs(name, NodeStatusState.READY));
  const where = { replicas: 6, constraint: 'node.role==worker' };
  const service = await create(first, 'kept', { image: 'none' }, where);
  const before = idsOf(await running(managers, service, 6));
  // Only now: it cannot run these tasks.
  const engine = network && (await engineIn(managers, network, undo));

  // Any manager gives it, sealed.
  const file = join(folder, 'cluster.backup');
  const passphrase = join(folder, 'passphrase');
  writeFileSync(passphrase, 'a horse, a horse\n');
  const sealed = ['--passphrase-file', passphrase];
  const said = await printed('cluster', 'backup', file, ...sealed, '--socket', second.socketPath);
  assert.match(said, new RegExp(`^Wrote ${file}: cluster ${cluster.id} at index \\d+, `));

  for (const lost of [first, second]) {
    await lost.daemon.kill();
    rmSync(lost.stateDir, { recursive: true });
  }
  const restored = await managers.alone('restored', async (stateDir) => {
    const into = ['--state-dir', stateDir];
    mkdirSync(stateDir);
    writeFileSync(join(stateDir, 'mine'), '');
    assert.match((await skein('cluster', 'restore', file, ...into, ...sealed)).stderr, /not empty/);
    rmSync(stateDir, { recursive: true });
    assert.match((await skein('cluster', 'restore', file, ...into)).stderr, /--passphrase-file/);
    const text = await printed('cluster', 'restore', file, ...into, ...sealed);
    assert.match(text, new RegExp(`^Restored cluster ${cluster.id} as of `));
  });
  restored.daemon.start();
  assert.equal((await managers.cluster(restored)).id, cluster.id);
  assert.ok(![first.address, second.address].includes(restored.address));

  for (const [i, name] of names.entries()) {
    await started[i]?.stop();
    worker(name, restored.address).start();
  }
  await ready(managers, nodes);
  assert.deepEqual(idsOf(await running(managers, service, 6)), before);
  await managers.until('the service is scaled', () => scale(restored, service, 5));
  const fewer = idsOf(await running(managers, service, 5));
  assert.ok(fewer.every((id) => before.includes(id)));
  if (!engine) return;
  // An engine only knows the addresses of before: at one of them it finds the cluster by itself.
  await restored.daemon.stop();
  managers.inPlaceOf(restored, first).daemon.start();
  await ready(managers, [{ id: engine.nodeId }]);
});

test('a second manager that is killed as it is let in comes back by itself', async () => {
  for (let round = 0; round < 3; round += 1) {
    using undo = new Undo();
    const managers = new Managers(undo);
    const first = await managers.add();
    const second = await managers.prepare();
    second.daemon.start();
    await managers.until('the first has let the second in', async () => {
      const { manager } = await first.operations.Status({}, CALL);
      return manager.members.length === 2;
    });
    await second.daemon.kill();
    second.daemon.start();
    await managers.nodeIs(second.name, NodeStatusState.READY);
    assert.equal((await second.operations.Status({}, CALL)).manager.members.length, 2);
  }
});
