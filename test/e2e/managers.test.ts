/** Several managers as real processes: joining, a leader that is killed, and coming back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeRole, NodeStatusState, TaskState } from '../../src/shared/wire/gen/types.ts';
import { type ManagerProcess, Managers } from '../support/managers.ts';
import { Undo } from '../support/undo.ts';

const CALL = { timeoutMs: 5000 } as const;

async function create(manager: ManagerProcess, name: string, replicas: number): Promise<string> {
  const { service } = await manager.control.CreateService(
    {
      spec: {
        annotations: { name },
        task: { runtime: { case: 'container', value: { image: 'none' } } },
        mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
      },
    },
    CALL,
  );
  return service?.id ?? '';
}

async function settles(managers: Managers, serviceId: string, replicas: number): Promise<string[]> {
  return managers.until(`${replicas} tasks run`, async () => {
    const { control } = managers.anyRunning();
    const { tasks } = await control.ListTasks({ filters: { serviceIds: [serviceId] } }, CALL);
    const running = tasks.filter((task) => task.status.state === TaskState.RUNNING);
    return running.length === replicas && running.map(({ id }) => id).toSorted();
  });
}

const namesOf = async ({ control }: ManagerProcess): Promise<string[]> =>
  (await control.ListServices({}, CALL)).services
    .map(({ spec }) => spec.annotations.name)
    .toSorted();

test('three managers survive the kill of their leader, and it comes back by a snapshot', async () => {
  using undo = new Undo();
  const managers = new Managers(undo);
  const raft = {
    snapshotInterval: 40,
    logEntriesForSlowFollowers: 5,
    heartbeatTick: 1,
    electionTick: 10,
  };
  await managers.start(3, { raft });
  const nodes = await managers.nodes();
  assert.equal(nodes.filter(({ role }) => role === NodeRole.MANAGER).length, 3);
  assert.equal(nodes.filter(({ managerStatus }) => managerStatus?.leader === true).length, 1);
  await managers.fleet(10);

  const [, follower = assert.fail()] = managers.all;
  const serviceId = await create(follower, 'before', 30);
  const tasks = await settles(managers, serviceId, 30);

  const leader = await managers.leader();
  const acknowledged = ['before'];
  for (let i = 0; i < 5; i += 1) {
    await create(follower, `at-kill-${i}`, 0);
    acknowledged.push(`at-kill-${i}`);
  }
  await leader.daemon.kill();
  const killedAtMs = Date.now();
  const survivor = managers.anyRunning();
  await managers.until('a write is accepted again', async () => {
    return create(survivor, 'after', 0);
  });
  const outageMs = Date.now() - killedAtMs;
  assert.ok(outageMs < 10_000, `no write was accepted for ${outageMs} ms`);
  assert.deepEqual(await namesOf(survivor), [...acknowledged, 'after'].toSorted());
  assert.notEqual((await managers.leader()).name, leader.name);

  await managers.until('the workers are back', async () => {
    const ready = (await managers.nodes()).filter((n) => n.status.state === NodeStatusState.READY);
    return ready.length === 12;
  });
  assert.deepEqual(await settles(managers, serviceId, 30), tasks, 'no task was moved');
  // More than the others keep in their logs: only a snapshot brings the killed one up to date.
  for (let i = 0; i < 100; i += 1) await create(survivor, `gone-${i}`, 0);
  leader.daemon.start();
  await managers.nodeIs(leader.name, NodeStatusState.READY);
  await managers.until(
    'the killed one answers',
    async () => (await namesOf(leader)).length === 107,
  );

  // A majority needs it now.
  const other = managers.all.find((m) => m !== leader && m !== survivor);
  await other?.daemon.kill();
  await managers.until('two of three are enough', async () => create(leader, 'last', 0));
  assert.equal((await namesOf(survivor)).length, 108);
});
