/** Several managers as real processes: joining, a leader that is killed or frozen, and coming back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NodeRole, NodeStatusState, TaskState } from '../../src/shared/wire/gen/types.ts';
import { Code, hasCode } from '../../src/main/rpc/errors.ts';
import { type ManagerProcess, Managers } from '../support/managers.ts';
import { Undo } from '../support/undo.ts';

const CALL = { timeoutMs: 5000 } as const;
/** For a call that is not made again. */
const ONCE = { timeoutMs: 30_000 } as const;

async function create(
  manager: ManagerProcess,
  name: string,
  replicas: number,
  call: { readonly timeoutMs: number } = ONCE,
): Promise<string> {
  const { service } = await manager.control.CreateService(
    {
      spec: {
        annotations: { name },
        task: { runtime: { case: 'container', value: { image: 'none' } } },
        mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
      },
    },
    call,
  );
  return service?.id ?? '';
}

/** Asks until it is accepted. One that was, but not heard of in time, is there at the next time. */
async function accepted(managers: Managers, by: ManagerProcess, name: string): Promise<void> {
  await managers.until(`${name} is accepted`, async () => {
    try {
      await create(by, name, 0, CALL);
    } catch (error) {
      if (!hasCode(error, Code.ALREADY_EXISTS)) throw error;
    }
    return true;
  });
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
  (await control.ListServices({}, ONCE)).services
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
  await accepted(managers, survivor, 'after');
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
  // Two of three are enough.
  await accepted(managers, leader, 'last');
  assert.equal((await namesOf(survivor)).length, 108);
});

test('[MGR4] what one manager has acknowledged all show at once, one that was frozen meanwhile too', async () => {
  using undo = new Undo();
  const managers = new Managers(undo);
  await managers.start(3);
  const written: string[] = [];
  for (let i = 0; i < 30; i += 1) {
    const name = `calm-${String(i).padStart(2, '0')}`;
    await create(managers.all[i % 3] ?? assert.fail(), name, 0);
    written.push(name);
    assert.deepEqual(await Promise.all(managers.all.map(namesOf)), [written, written, written]);
  }
  for (let round = 0; round < 3; round += 1) {
    const old = await managers.leader();
    const [other = assert.fail()] = managers.all.filter((manager) => manager !== old);
    old.daemon.freeze();
    const name = `frozen-${round}`;
    await accepted(managers, other, name);
    written.push(name);
    // The old leader finds it when it wakes up, beside the news of its successor.
    const read = namesOf(old);
    old.daemon.thaw();
    assert.deepEqual(await read, written);
    for (const manager of managers.all) assert.deepEqual(await namesOf(manager), written);
  }
});
