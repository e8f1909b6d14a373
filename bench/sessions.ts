/**
 * Workers that are only there: what a real `skein manager` takes while all do nothing but send
 * heartbeats, and how soon all are back when it was started again on its data, after a crash and after
 * an orderly stop.
 *
 *     npm run bench -- sessions --full
 *     npm run bench -- sessions -- --workers 5000 --processes 2 --endings kill
 *
 * Each worker has an identity and a connection of its own and comes back as a stock engine does; each
 * runs one task, which must be the same after a restart. A worker is back when the manager's own store
 * has it READY.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Undo } from '../test/support/undo.ts';
import { until } from '../test/support/until.ts';
import { Crowd } from './crowd/crowd.ts';
import { clockMs } from './crowd/messages.ts';
import type { Bench, Goal, Session } from './kit/bench.ts';
import { onDisk } from './raft/disk.ts';
import { SkeinManager } from './support/skein-manager.ts';

type Ending = 'kill' | 'stop';

type Plan = {
  readonly workers: number;
  /** Processes of the workers. */
  readonly processes: number;
  /** How long the idle manager is watched. */
  readonly watchMs: number;
  readonly endings: readonly Ending[];
  readonly heartbeatMs?: number;
  /** Folder for CPU profiles of the managers' threads. */
  readonly profile?: string | undefined;
};

const TINY: readonly Plan[] = [
  { workers: 10, processes: 2, watchMs: 2500, endings: ['kill', 'stop'], heartbeatMs: 2000 },
];
const SHORT: readonly Plan[] = [
  { workers: 500, processes: 2, watchMs: 10_000, endings: ['kill', 'stop'] },
];
const FULL: readonly Plan[] = [500, 5000].map((workers) => ({
  workers,
  processes: 2,
  watchMs: 20_000,
  endings: ['kill', 'stop'],
}));

/** A plan of the command line; undefined without one. */
function planned(args: readonly string[]): Plan | undefined {
  if (args.length === 0) return undefined;
  const { values } = parseArgs({
    args: [...args],
    options: {
      workers: { type: 'string', default: '500' },
      processes: { type: 'string', default: '2' },
      watch: { type: 'string', default: '10000' },
      endings: { type: 'string', default: 'kill,stop' },
      profile: { type: 'string' },
    },
  });
  return {
    workers: Number(values.workers),
    processes: Number(values.processes),
    watchMs: Number(values.watch),
    endings: values.endings.split(',').flatMap((e) => (e === 'kill' || e === 'stop' ? [e] : [])),
    profile: values.profile,
  };
}

/** For up to 5,000 workers. */
const GOALS = {
  cores: { atMost: 0.5 },
  peakMiB: { atMost: 1024 },
  backMs: { atMost: 20_000 },
} as const;

const TIMEOUT_MS = 300_000;
/** What joining left behind is done by then. */
const SETTLE_MS = 3000;
const MIB = 2 ** 20;

type Cluster = {
  readonly plan: Plan;
  readonly session: Session;
  readonly crowd: Crowd;
  /** Starts a manager on the data; the first one makes it. */
  readonly start: () => Promise<SkeinManager>;
};

type Figure = readonly [metric: string, unit: string, value: number, goal?: Goal];

function tell({ session }: Cluster, scenario: string, figures: readonly Figure[]): void {
  for (const [metric, unit, value, goal] of figures) {
    session.record({ scenario, side: 'skein', metric, unit, better: 'less', goal }, [value]);
  }
}

/** All workers have a session, and the store says so of them and of the manager's own node. */
async function untilAllReady(manager: SkeinManager, crowd: Crowd, workers: number): Promise<void> {
  await crowd.until('all have sessions', TIMEOUT_MS, ({ opened, sessions }) => {
    return opened >= workers && sessions === workers;
  });
  await until('all are READY', TIMEOUT_MS, async () => {
    assert.equal((await manager.read()).readyNodes, workers + 1, 'READY nodes');
    return true;
  });
}

/** The workers hold what they held, and it runs. */
async function checkTasks(manager: SkeinManager, { plan, crowd }: Cluster): Promise<void> {
  const { workers: tasks } = plan;
  await until('all tasks run', TIMEOUT_MS / 5, async () => {
    const { running, stored } = (await manager.read()).tasks;
    // More are stored when a node was given up and its task has run elsewhere.
    assert.deepEqual({ running, stored }, { running: tasks, stored: tasks });
    return true;
  });
  const { held, assigned, removed, ended } = crowd.counts;
  assert.deepEqual(
    { held, assigned, removed, ended },
    { held: tasks, assigned: 0, removed: 0, ended: 0 },
  );
}

async function idle(cluster: Cluster, manager: SkeinManager, emptyBytes: number): Promise<void> {
  const { crowd, plan } = cluster;
  const { workers } = plan;
  const { stat } = manager;
  await sleep(SETTLE_MS);
  const startMs = await crowd.reset();
  const cpu = stat.cpuSeconds();
  await sleep(plan.watchMs);
  const seconds = (clockMs() - startMs) / 1000;
  const cpuSeconds = stat.cpuSeconds() - cpu;
  const residentBytes = stat.residentBytes();
  const peakBytes = stat.peakBytes();
  const beatsMs = await crowd.beatsMs();
  const { opened, sessions } = crowd.counts;
  assert.deepEqual({ opened, sessions }, { opened: 0, sessions: workers });
  assert.ok(beatsMs.length > 0, 'no heartbeat was answered');
  const at = (share: number): number => beatsMs[Math.ceil(share * beatsMs.length) - 1] ?? 0;
  tell(cluster, `${workers} workers, heartbeats only`, [
    ['cpu', 'cores', cpuSeconds / seconds, GOALS.cores],
    ['beats', 'a second', beatsMs.length / seconds],
    ['cpu', 'us a heartbeat', (cpuSeconds * 1e6) / beatsMs.length],
    ['beat p50', 'ms', at(0.5)],
    ['beat p99', 'ms', at(0.99)],
    ['memory', 'MiB', residentBytes / MIB],
    ['peak', 'MiB, joining too', peakBytes / MIB, GOALS.peakMiB],
    ['session', 'KiB', (residentBytes - emptyBytes) / workers / 1024],
  ]);
}

async function restart(
  cluster: Cluster,
  manager: SkeinManager,
  ending: Ending,
): Promise<SkeinManager> {
  const { crowd, plan } = cluster;
  const { workers } = plan;
  const crowdCpu = crowd.cpuSeconds();
  const endMs = await crowd.reset();
  await manager.stop(ending === 'kill' ? 'SIGKILL' : 'SIGTERM');
  const startMs = clockMs();
  const next = await cluster.start();
  const leadsMs = clockMs() - startMs;
  await untilAllReady(next, crowd, workers);
  const backAtMs = clockMs();
  const cpuSeconds = next.stat.cpuSeconds();
  const crowdCpuSeconds = crowd.cpuSeconds() - crowdCpu;
  const { tried, opened } = crowd.counts;
  await checkTasks(next, cluster);
  const what = ending === 'kill' ? 'killed' : 'stopped';
  tell(cluster, `${workers} workers, manager ${what} and started again`, [
    ['leads', 'ms', leadsMs],
    ['back', 'ms since it started', backAtMs - startMs, GOALS.backMs],
    ['back', 'ms since the end', backAtMs - endMs],
    ['cpu', 's', cpuSeconds],
    ['crowd', 's of CPU', crowdCpuSeconds],
    ['tried', 'sessions a worker', tried / workers],
    ['opened', 'sessions a worker', opened / workers],
    ['turn', 'ms of CPU, longest', (await next.read()).mainThread.longestCpuMs],
    ['peak', 'MiB', next.stat.peakBytes() / MIB, GOALS.peakMiB],
  ]);
  return next;
}

async function play(session: Session, plan: Plan): Promise<void> {
  const undo = new Undo();
  try {
    const { workers, processes, profile, heartbeatMs } = plan;
    const directory = mkdtempSync(join(onDisk(), 'skein-bench-sessions-'));
    undo.add('remove the files', () => rmSync(directory, { recursive: true }));
    if (profile !== undefined) mkdirSync(profile, { recursive: true });
    const common = { directory, host: '127.0.0.1', undo, profile };
    let manager = await SkeinManager.start({ ...common, port: 0, heartbeatMs });
    const { address, membership } = manager;
    const port = Number(address.slice(address.lastIndexOf(':') + 1));
    const start = (): Promise<SkeinManager> => SkeinManager.start({ ...common, port });
    const emptyBytes = manager.stat.residentBytes();
    const options = {
      address,
      membership,
      workers,
      processes,
      report: 'last',
      returns: true,
    } as const;
    await using crowd = await Crowd.join(options);
    const cluster = { plan, session, crowd, start };
    await manager.create({ name: 'bench', replicas: workers });
    await crowd.until('all tasks run', TIMEOUT_MS, ({ running }) => running === workers);
    await untilAllReady(manager, crowd, workers);
    await idle(cluster, manager, emptyBytes);
    for (const ending of plan.endings) manager = await restart(cluster, manager, ending);
    await manager.stop();
  } finally {
    undo[Symbol.dispose]();
  }
}

async function run(session: Session): Promise<void> {
  const own = planned(session.args);
  const plans = own ? [own] : session.pick({ tiny: TINY, short: SHORT, full: FULL });
  for (const plan of plans) await play(session, plan);
}

export const bench: Bench = {
  about: 'workers that only send heartbeats, and how soon all are back after a restart',
  run,
};
