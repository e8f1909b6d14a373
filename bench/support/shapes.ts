/** What a cluster is put through: each shape checks what came of it before it tells any figure. */
import assert from 'node:assert/strict';
import type { Crowd } from '../crowd/crowd.ts';
import { clockMs } from '../crowd/messages.ts';
import { until } from '../../test/support/until.ts';
import { type Rest, untilAtRest } from './process-stat.ts';
import type { SkeinManager } from './skein-manager.ts';
import type { ProbeReading } from './probe-messages.ts';

const TIMEOUT_MS = 900_000;
/** Calls that create services, at a time. */
const CREATES_AT_ONCE = 32;
const ONE = 'one service';
const MORE = 'more beside them';
/** Tasks that are added to a cluster that has some. */
const MORE_TASKS = 10_000;

export type ClusterRun = {
  readonly manager: SkeinManager;
  readonly crowd: Crowd;
  readonly tasks: number;
  readonly workers: number;
  /** Services that `one` creates, one when the other runs. */
  readonly creates: number;
};

/** What one shape came to. */
export type Measured = {
  readonly shape: string;
  /** Tasks that the shape is about. */
  readonly tasks: number;
  /** How many times in a row it was done with its share of them. */
  readonly times: number;
  readonly wallMs: number;
  readonly rest: Rest;
  readonly startMs: number;
  readonly cpuSeconds: number;
  readonly mainCpuSeconds: number;
  readonly peakBytes: number;
  readonly crowdCpuSeconds: number;
  readonly crowdPeakBytes: number;
  /** Reports of statuses that the manager answered, one or many in a call. */
  readonly calls: number;
  readonly reading: ProbeReading;
};

/** Runs `act` until `done` in the store, then until the manager is at rest. */
async function measure(
  { manager, crowd }: ClusterRun,
  {
    shape,
    tasks,
    times = 1,
    since = 'now',
  }: {
    readonly shape: string;
    readonly tasks: number;
    readonly times?: number;
    readonly since?: 'now' | 'service';
  },
  act: () => Promise<void>,
  done: () => Promise<boolean>,
): Promise<Measured> {
  await untilAtRest(manager.stat);
  const { stat } = manager;
  const before = {
    cpu: stat.cpuSeconds(),
    main: stat.mainCpuSeconds(),
    crowd: crowd.cpuSeconds(),
  };
  await manager.reset(since);
  const startMs = await crowd.reset();
  await act();
  await until(shape, TIMEOUT_MS, done);
  const wallMs = clockMs() - startMs;
  const reading = await manager.read();
  const crowdCpuSeconds = crowd.cpuSeconds() - before.crowd;
  const rest = await untilAtRest(stat);
  return {
    shape,
    tasks,
    times,
    wallMs,
    rest,
    startMs,
    cpuSeconds: rest.cpuSeconds - before.cpu,
    mainCpuSeconds: stat.mainCpuSeconds() - before.main,
    peakBytes: stat.peakBytes(),
    crowdCpuSeconds,
    crowdPeakBytes: crowd.peakBytes(),
    calls: crowd.counts.calls,
    reading,
  };
}

async function clear({ manager }: ClusterRun, services: readonly string[]): Promise<void> {
  for (const id of services) await manager.remove(id);
  await until('all tasks are gone', TIMEOUT_MS, async () => (await manager.stored()) === 0);
}

let names = 0;
const newName = (): string => `bench-${(names += 1)}`;

async function allRun({ manager }: ClusterRun, count: number): Promise<boolean> {
  const { running, stored } = await manager.counts();
  return running === count && stored === count;
}

type Ups = { readonly measured: Measured; readonly services: readonly string[] };

/** Services of so many tasks each, one when the other runs, beside `present` tasks that run already. */
async function up(
  run: ClusterRun,
  what: {
    readonly shape: string;
    readonly replicas: number;
    readonly times: number;
    readonly present: number;
  },
): Promise<Ups> {
  const { manager, crowd } = run;
  const { shape, replicas, times, present } = what;
  const services: string[] = [];
  const all = replicas * times;
  const measured = await measure(
    run,
    { shape, tasks: all, times, since: times === 1 && present === 0 ? 'now' : 'service' },
    async () => {
      while (services.length < times) {
        services.push(await manager.create({ name: newName(), replicas }));
        const wanted = replicas * services.length;
        await crowd.until('all tasks run', TIMEOUT_MS, ({ running }) => running === wanted);
      }
    },
    () => allRun(run, present + all),
  );
  assert.equal(crowd.counts.held, present + all);
  return { measured, services };
}

async function one(run: ClusterRun): Promise<Measured[]> {
  const { tasks: replicas, creates: times } = run;
  const { measured, services } = await up(run, { shape: ONE, replicas, times, present: 0 });
  await clear(run, services);
  return [measured];
}

/** As `one`, and then another service while the tasks of one are there. */
async function grow(run: ClusterRun): Promise<Measured[]> {
  const { tasks: replicas, creates } = run;
  const told = creates === 1 ? [] : await one(run);
  const first = await up(run, { shape: ONE, replicas, times: 1, present: 0 });
  if (told.length === 0) told.push(first.measured);
  const more = { replicas: Math.min(MORE_TASKS, 10 * replicas), times: 1, present: replicas };
  const second = await up(run, { shape: MORE, ...more });
  await clear(run, [...first.services, ...second.services]);
  return [...told, second.measured];
}

async function many(run: ClusterRun): Promise<Measured[]> {
  const { manager, tasks, crowd } = run;
  const ids: string[] = [];
  const numbers = Array.from({ length: tasks }, (_, i) => i).values();
  const createNext = async (): Promise<void> => {
    for (const _ of numbers) ids.push(await manager.create({ name: newName(), replicas: 1 }));
  };
  const measured = await measure(
    run,
    { shape: 'services of one task', tasks, since: 'service' },
    async () => {
      await Promise.all(Array.from({ length: CREATES_AT_ONCE }, createNext));
      await crowd.until('all tasks run', TIMEOUT_MS, ({ running }) => running === tasks);
    },
    () => allRun(run, tasks),
  );
  assert.equal(crowd.counts.held, tasks);
  await clear(run, ids);
  return [measured];
}

/** Every task is replaced by one of a new version, all at once. */
async function update(run: ClusterRun): Promise<Measured[]> {
  const { manager, tasks, crowd } = run;
  const name = newName();
  const id = await manager.create({ name, replicas: tasks });
  await until('all tasks run', TIMEOUT_MS, () => allRun(run, tasks));
  const measured = await measure(
    run,
    { shape: 'update of all', tasks },
    async () => {
      await manager.update(id, { name, replicas: tasks, version: 2 });
      await crowd.until('all are new', TIMEOUT_MS, ({ running }) => running === tasks);
    },
    async () => (await manager.running()) === tasks && crowd.counts.ended === tasks,
  );
  await clear(run, [id]);
  return [measured];
}

async function toZero(run: ClusterRun): Promise<Measured[]> {
  const { manager, tasks, crowd } = run;
  const name = newName();
  const id = await manager.create({ name, replicas: tasks });
  await until('all tasks run', TIMEOUT_MS, () => allRun(run, tasks));
  const measured = await measure(
    run,
    { shape: 'scale to zero', tasks },
    async () => {
      await manager.update(id, { name, replicas: 0 });
      await crowd.until('all are gone', TIMEOUT_MS, ({ held }) => held === 0);
    },
    async () => (await manager.stored()) === 0,
  );
  await clear(run, [id]);
  return [measured];
}

/** A tenth of the workers vanishes; their tasks run elsewhere once that is noticed. The last shape. */
async function loss(run: ClusterRun): Promise<Measured[]> {
  const { manager, tasks, crowd, workers } = run;
  const id = await manager.create({ name: newName(), replicas: tasks });
  await until('all tasks run', TIMEOUT_MS, () => allRun(run, tasks));
  const lost = Math.max(1, Math.floor(workers / 10));
  const heldBefore = crowd.counts.held;
  let moved = 0;
  const measured = await measure(
    run,
    { shape: 'loss of a tenth', tasks },
    async () => {
      await crowd.lose(lost);
      await crowd.until('tasks are lost', TIMEOUT_MS, ({ held }) => held < heldBefore);
      moved = heldBefore - crowd.counts.held;
      await crowd.until('all run again', TIMEOUT_MS, ({ running }) => running === moved);
    },
    async () => (await manager.read()).running.count === moved,
  );
  assert.equal(crowd.counts.held, heldBefore);
  // What the lost workers had stays in the store until they are given up, a day from now.
  await manager.remove(id);
  await crowd.until('the rest is gone', TIMEOUT_MS, ({ held }) => held === 0);
  return [{ ...measured, tasks: moved }];
}

/** A tenth of the tasks exits, ten times. */
async function churn(run: ClusterRun): Promise<Measured[]> {
  const { manager, tasks, crowd } = run;
  const id = await manager.create({ name: newName(), replicas: tasks });
  await until('all tasks run', TIMEOUT_MS, () => allRun(run, tasks));
  const part = Math.max(1, Math.floor(tasks / 10));
  const measured = await measure(
    run,
    { shape: 'churn', tasks: part * 10 },
    async () => {
      for (let round = 1; round <= 10; round += 1) {
        await crowd.fail(part);
        await crowd.until('others run', TIMEOUT_MS, ({ running }) => running === round * part);
      }
    },
    async () => (await manager.running()) === tasks,
  );
  await clear(run, [id]);
  return [measured];
}

export const SHAPES: ReadonlyMap<string, (run: ClusterRun) => Promise<Measured[]>> = new Map([
  ['one', one],
  ['grow', grow],
  ['many', many],
  ['update', update],
  ['zero', toZero],
  ['churn', churn],
  ['loss', loss],
]);
