import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';
import { Task } from '../../shared/wire/gen/objects.ts';
import { TaskState, type TaskStatus } from '../../shared/wire/gen/types.ts';
import { threadOf, type ExecutorChoice } from '../../shared/lanes/tasks.ts';
import { silentLog } from '../log.ts';
import { TaskPool, type StoredTask } from './tasks.ts';

/** A worker's task database, in memory, with what a pool's owner does. */
class Owner {
  readonly tasks = new Map<string, Task>();
  readonly removed = new Set<string>();
  readonly history = new Map<string, number[]>();
  readonly pool: TaskPool;
  #changed = Promise.withResolvers<void>();

  constructor(executor: ExecutorChoice, threads: number) {
    this.pool = new TaskPool({
      nodeId: 'node1',
      hostname: 'host1',
      labels: { zone: 'a' },
      executor,
      threads,
      log: silentLog,
      source: {
        tasks: () => [...this.tasks.keys()].map((id) => this.#stored(id)),
        secrets: () => [],
        configs: () => [],
      },
      onStatuses: (updates) => {
        for (const { taskId, status } of updates) this.#status(taskId, status);
        this.#change();
      },
      onRemoved: (ids) => {
        for (const id of ids) this.removed.add(id);
        this.#change();
      },
    });
  }

  async assign(tasks: readonly Task[]): Promise<void> {
    for (const task of tasks) {
      const status = this.tasks.get(task.id)?.status ?? task.status;
      this.tasks.set(task.id, { ...task, status });
    }
    await this.pool.assign(tasks.map((task) => this.#stored(task.id)));
  }

  remove(ids: readonly string[]): void {
    for (const id of ids) this.tasks.delete(id);
    this.pool.remove(ids);
  }

  /** Resolves when it holds; there is no time limit but the test's. */
  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await this.#changed.promise;
  }

  #stored(id: string): StoredTask {
    return { id, bytes: Task.encode(this.tasks.get(id) ?? Task.create()) };
  }

  #status(id: string, status: TaskStatus): void {
    const task = this.tasks.get(id);
    if (task === undefined) return;
    this.tasks.set(id, { ...task, status });
    this.history.set(id, [...(this.history.get(id) ?? []), status.state]);
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

const tasksOf = (count: number, desiredState: TaskState): Task[] =>
  Array.from({ length: count }, (_, index) =>
    Task.create({
      id: `task${index}`,
      serviceId: 'service1',
      desiredState,
      status: { state: TaskState.ASSIGNED },
      spec: { runtime: { case: 'container', value: { image: 'x' } } },
    }),
  );

const simulated = (plan: Record<string, readonly [number, number]>): ExecutorChoice => ({
  kind: 'simulated',
  seed: 1,
  plan,
});

test(
  'tasks come up, go down and are removed, on several threads',
  { timeout: 120_000 },
  async () => {
    const owner = new Owner(simulated({ prepareMs: [0, 20], stopMs: [0, 20] }), 2);
    await using pool = owner.pool;
    await pool.start();
    const { engine, hostname } = await pool.describe();
    assert.equal(hostname, 'host1');
    assert.deepEqual(engine?.labels, { zone: 'a' });
    const count = 200;
    const ids = tasksOf(count, TaskState.RUNNING).map((task) => task.id);
    assert.equal(new Set(ids.map((id) => threadOf(id, 2))).size, 2, 'both threads have tasks');
    const all = (state: TaskState) => () =>
      [...owner.tasks.values()].every((task) => task.status.state === state);
    await owner.assign(tasksOf(count, TaskState.RUNNING));
    await owner.until(all(TaskState.RUNNING));
    await owner.assign(tasksOf(count, TaskState.SHUTDOWN));
    await owner.until(all(TaskState.SHUTDOWN));
    owner.remove(ids);
    await owner.until(() => owner.removed.size === count);
    for (const states of owner.history.values()) {
      assert.deepEqual(
        states,
        states.toSorted((a, b) => a - b),
        'states never go back',
      );
    }
  },
);

test('[ENG5] a thread that dies under load loses nothing', { timeout: 120_000 }, async () => {
  const owner = new Owner(simulated({ prepareMs: [0, 300], startMs: [0, 300] }), 2);
  await using pool = owner.pool;
  await pool.start();
  const count = 500;
  await owner.assign(tasksOf(count, TaskState.RUNNING));
  const states = (): number[] => [...owner.tasks.values()].map((task) => task.status.state);
  await owner.until(() => states().some((state) => state === TaskState.STARTING));
  await Promise.all([pool.kill(0), pool.kill(1)]);
  await owner.until(() => states().filter((state) => state === TaskState.RUNNING).length > 50);
  owner.remove(['task0', 'task1', 'task2', 'task3']);
  await pool.kill(0);
  await owner.until(() => owner.removed.size === 4);
  await owner.until(() => states().every((state) => state === TaskState.RUNNING));
  assert.equal(owner.tasks.size, count - 4);
});

const shellTask = (id: string, script: string): Task =>
  Task.create({
    id,
    serviceId: 'service1',
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.ASSIGNED },
    spec: { runtime: { case: 'container', value: { command: ['sh', '-c', script] } } },
  });

test('[ENG5] processes run on when their thread dies', { timeout: 120_000 }, async () => {
  const stateDir = mkdtempSync(join(tmpdir(), 'skein-pool-'));
  const owner = new Owner({ kind: 'process', stateDir }, 1);
  await using pool = owner.pool;
  await pool.start();
  const stateOf = (id: string): number => owner.tasks.get(id)?.status.state ?? 0;
  const containerOf = (id: string) => owner.tasks.get(id)?.status.runtimeStatus?.value;
  const lives = 'echo started; trap "exit 0" TERM; while :; do sleep 0.05; done';
  const ends = `echo started; while ! test -e ${stateDir}/go; do sleep 0.02; done; exit 5`;
  await owner.assign([shellTask('lives', lives), shellTask('ends', ends)]);
  const running = (id: string) => stateOf(id) === TaskState.RUNNING;
  await owner.until(() => running('lives') && running('ends'));
  const pids = [containerOf('lives')?.pid, containerOf('ends')?.pid];
  const dead = pool.kill(0);
  writeFileSync(join(stateDir, 'go'), '');
  await dead;
  await owner.until(() => stateOf('ends') === TaskState.FAILED);
  assert.equal(owner.tasks.get('ends')?.status.err, 'task: non-zero exit (5)');
  assert.deepEqual([containerOf('lives')?.pid, containerOf('ends')?.pid], pids);
  const lines: string[] = [];
  const message = SubscriptionMessage.create({ id: 's', selector: { serviceIds: ['service1'] } });
  for await (const { context, data } of pool.logs(message)) {
    lines.push(`${context.taskId} ${Buffer.from(data).toString().trim()}`);
  }
  assert.deepEqual(lines.toSorted(), ['ends started', 'lives started'], 'each was started once');
  await owner.assign([{ ...shellTask('lives', lives), desiredState: TaskState.SHUTDOWN }]);
  await owner.until(() => stateOf('lives') === TaskState.SHUTDOWN);
  owner.remove(['lives', 'ends']);
  await owner.until(() => owner.removed.size === 2);
  assert.deepEqual(readdirSync(join(stateDir, 'tasks')), []);
  rmSync(stateDir, { recursive: true });
});

test('an executor that cannot describe its machine says why', { timeout: 120_000 }, async () => {
  const socketPath = '/nonexistent/docker.sock';
  const owner = new Owner({ kind: 'docker', socketPath, pull: 'missing' }, 1);
  await using pool = owner.pool;
  await pool.start();
  await assert.rejects(pool.describe(), /docker/i);
});
