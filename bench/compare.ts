/**
 * The same simulated workers aimed at a real Docker swarm manager, at a Skein manager, and at an empty
 * Node manager that only answers, in turn, several rounds of one run. Each manager has a network
 * namespace of its own on one bridge; all is gone afterwards. Needs root and a Docker Engine; without
 * them Skein is compared with the empty manager alone.
 *
 *     npm run bench -- compare --full
 *     npm run bench -- compare -- --tasks 5000 --workers 50 --report each --rounds 3
 *
 * Wall time counts from the call that creates the service until the manager's own store has all tasks
 * RUNNING; CPU until the manager is at rest again.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { DockerEngine, whyNoEngine } from '../test/support/dockerd.ts';
import { LabNetwork } from '../test/support/lab-network.ts';
import { Undo } from '../test/support/undo.ts';
import { Crowd } from './crowd/crowd.ts';
import type { ReportMode } from './crowd/messages.ts';
import type { Bench, Goal, Session } from './kit/bench.ts';
import { median } from './kit/stats.ts';
import { onDisk } from './raft/disk.ts';
import { type Arena, arenaOf, floorArena, type Result } from './support/arena.ts';
import { DockerManager } from './support/docker-manager.ts';
import { FloorManager } from './support/floor-manager.ts';
import { SkeinManager } from './support/skein-manager.ts';
import type { Subject } from './support/subject.ts';

type Plan = {
  readonly tasks: number;
  readonly workers: number;
  readonly report: ReportMode;
  readonly rounds: number;
  /** Tasks of the round that is run first and not counted. */
  readonly warmUp: number;
};

const TINY: readonly Plan[] = [{ tasks: 50, workers: 5, report: 'each', rounds: 1, warmUp: 10 }];
const SHORT: readonly Plan[] = [
  { tasks: 5000, workers: 50, report: 'last', rounds: 3, warmUp: 2000 },
  { tasks: 5000, workers: 50, report: 'each', rounds: 3, warmUp: 2000 },
];
const FULL: readonly Plan[] = [
  ...SHORT,
  { tasks: 20_000, workers: 50, report: 'last', rounds: 3, warmUp: 2000 },
  // One round: Docker's manager works on for many minutes.
  { tasks: 20_000, workers: 50, report: 'each', rounds: 1, warmUp: 2000 },
];

/** By how much Docker's swarm is to be slower and to take more CPU than Skein. */
const GOALS: readonly (Pick<Plan, 'tasks' | 'report'> & {
  readonly wall: number;
  readonly cpu: number;
})[] = [
  { tasks: 5000, report: 'last', wall: 4, cpu: 8 },
  { tasks: 20_000, report: 'last', wall: 15, cpu: 40 },
  { tasks: 5000, report: 'each', wall: 1.8, cpu: 8 },
  { tasks: 20_000, report: 'each', wall: 2.5, cpu: 20 },
];
/** How much longer than the empty manager Skein may take for calls of one state each. */
const FLOOR_GOAL = { atMost: 1.5 } as const;

function planned(args: readonly string[]): Plan | undefined {
  if (args.length === 0) return undefined;
  const { values } = parseArgs({
    args: [...args],
    options: {
      tasks: { type: 'string', default: '1000' },
      workers: { type: 'string', default: '50' },
      report: { type: 'string', default: 'each' },
      rounds: { type: 'string', default: '3' },
      'warm-up': { type: 'string', default: '1000' },
    },
  });
  return {
    tasks: Number(values.tasks),
    workers: Number(values.workers),
    report: values.report === 'each' ? 'each' : 'last',
    rounds: Number(values.rounds),
    warmUp: Number(values['warm-up']),
  };
}

function folder(directory: string, name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  return path;
}

type Lab = { readonly undo: Undo; readonly stack: AsyncDisposableStack; readonly plan: Plan };

/** Starts all managers, each with its workers. */
async function arenas({ undo, stack, plan }: Lab, withDocker: boolean): Promise<Arena[]> {
  const directory = mkdtempSync(join(onDisk(), 'skein-bench-compare-'));
  undo.add('remove the files', () => rmSync(directory, { recursive: true }));
  const network = withDocker ? new LabNetwork(undo) : undefined;
  const crowdOf = async (subject: Pick<Subject, 'address' | 'membership'>): Promise<Crowd> => {
    const { address, membership } = subject;
    const { workers, report } = plan;
    return stack.use(await Crowd.join({ address, membership, workers, report }));
  };
  const found: Arena[] = [];
  if (network !== undefined) {
    const { address, prefix } = network.namespace();
    const engine = await DockerEngine.start({
      directory: folder(directory, 'docker'),
      undo,
      prefix,
      flags: ['--bip=172.31.255.1/24'],
    });
    const docker = await DockerManager.init(engine, address);
    found.push(arenaOf(docker, await crowdOf(docker)));
  }
  const place = network?.namespace();
  const skein = await SkeinManager.start({
    directory: folder(directory, 'skein'),
    host: place?.address ?? '127.0.0.1',
    port: 0,
    undo,
    prefix: place?.prefix,
    // Nobody else pays for that.
    watchTurns: false,
  });
  stack.defer(() => skein.stop());
  found.push(arenaOf(skein, await crowdOf(skein)));
  const floor = await FloorManager.start(network?.address ?? '127.0.0.1', undo);
  found.push(floorArena(floor, await crowdOf(floor)));
  return found;
}

/** The kernel counts processor time in hundredths of a second: less is as good as one. */
const CLOCK = 0.01;

type Results = ReadonlyMap<string, readonly Result[]>;

function tell(session: Session, plan: Plan, results: Results): void {
  const { tasks, workers, report, rounds: times } = plan;
  const how = report === 'each' ? 'five states, a call each' : 'batched reports';
  const scenario = `${tasks} tasks, ${workers} workers, ${how}`;
  session.note(`${scenario}: ${times === 1 ? 'one round' : `${times} rounds`}, in turn`);
  for (const [side, rounds] of results) {
    const label = { scenario, side, better: 'less' } as const;
    const of = (key: keyof Result): number[] => rounds.map((round) => round[key]);
    session.record({ ...label, metric: 'wall', unit: 'ms' }, of('wallMs'));
    session.record({ ...label, metric: 'reported', unit: 'ms' }, of('reportedMs'));
    session.record({ ...label, metric: 'to rest', unit: 'ms' }, of('restMs'));
    session.record({ ...label, metric: 'cpu', unit: 's' }, of('cpuSeconds'));
    session.record({ ...label, metric: 'crowd', unit: 's of CPU' }, of('crowdCpuSeconds'));
  }
  const goals = GOALS.find((goal) => goal.tasks === tasks && goal.report === report);
  const ratio = (over: string, under: string, key: keyof Result): number => {
    const middle = (name: string): number =>
      Math.max(CLOCK, median((results.get(name) ?? []).map((r) => r[key])));
    return middle(over) / middle(under);
  };
  const record = (side: string, metric: string, value: number, goal?: Goal): void =>
    session.record(
      {
        scenario,
        side,
        metric,
        unit: 'x',
        better: side.startsWith('skein') ? 'less' : 'more',
        goal,
      },
      [value],
    );
  if (results.has('docker')) {
    const wall = goals && { atLeast: goals.wall };
    const cpu = goals && { atLeast: goals.cpu };
    record('docker / skein', 'wall', ratio('docker', 'skein', 'wallMs'), wall);
    record('docker / skein', 'cpu', ratio('docker', 'skein', 'cpuSeconds'), cpu);
  }
  if (report === 'last') return; // the empty manager has next to no calls to answer
  const goal = goals && FLOOR_GOAL;
  record('skein / floor', 'wall', ratio('skein', 'floor', 'wallMs'), goal);
}

async function play(session: Session, plan: Plan, withDocker: boolean): Promise<void> {
  const undo = new Undo();
  try {
    await using stack = new AsyncDisposableStack();
    const all = await arenas({ undo, stack, plan }, withDocker);
    for (const arena of all) await arena.run(plan.warmUp);
    const results = new Map<string, Result[]>(all.map(({ name }) => [name, []]));
    for (let round = 0; round < plan.rounds; round += 1) {
      for (const arena of all) results.get(arena.name)?.push(await arena.run(plan.tasks));
    }
    tell(session, plan, results);
  } finally {
    undo[Symbol.dispose]();
  }
}

async function run(session: Session): Promise<void> {
  const why = whyNoEngine();
  if (why !== undefined) session.note(`without Docker's swarm: ${why}`);
  const own = planned(session.args);
  const plans = own ? [own] : session.pick({ tiny: TINY, short: SHORT, full: FULL });
  for (const plan of plans) await play(session, plan, why === undefined);
}

export const bench: Bench = {
  about: "Docker's swarm manager, Skein's and an empty one under the same simulated workers",
  run,
};
