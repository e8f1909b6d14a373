/**
 * The whole path under load: a real `skein manager` with its log on disk, and simulated workers in other
 * processes over gRPC and mutual TLS, from the call to the last task RUNNING in the manager's store.
 *
 *     npm run bench -- cluster --full
 *     npm run bench -- cluster -- --tasks 20000 --workers 50 --report each --shapes one,update
 *
 * What came of a shape is checked before it is told. Rates and times are of commits in the store, as a
 * probe inside the manager saw them; processor time counts until the manager is at rest again.
 */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { Undo } from '../test/support/undo.ts';
import { Crowd } from './crowd/crowd.ts';
import type { ReportMode } from './crowd/messages.ts';
import type { Bench, Session } from './kit/bench.ts';
import { onDisk } from './raft/disk.ts';
import { tell } from './support/figures.ts';
import { longTurns } from './support/long-turns.ts';
import { learnIdle } from './support/process-stat.ts';
import { type Measured, SHAPES } from './support/shapes.ts';
import { SkeinManager } from './support/skein-manager.ts';

/** One cluster, and what it is put through. */
type Plan = {
  readonly tasks: number;
  readonly workers: number;
  readonly report: ReportMode;
  readonly shapes: readonly string[];
  readonly rounds: number;
  /** Services of so many tasks that the shape `one` creates, one when the other runs; 1 unless given. */
  readonly creates?: number;
  /** Processes of the workers. */
  readonly processes?: number;
  /** Folder for CPU profiles of the manager's threads. */
  readonly profile?: string | undefined;
};

const UP = ['one'];
const GROW = ['grow'];
const ALL = [...SHAPES.keys()].filter((shape) => !GROW.includes(shape));

const TINY: readonly Plan[] = [
  { tasks: 60, workers: 10, report: 'each', shapes: [...GROW, ...ALL], rounds: 1 },
];
const SHORT: readonly Plan[] = [
  { tasks: 2000, workers: 50, report: 'each', shapes: ALL, rounds: 3 },
  { tasks: 5000, workers: 50, report: 'last', shapes: UP, rounds: 3 },
];
const FULL: readonly Plan[] = [
  { tasks: 5000, workers: 50, report: 'each', shapes: ALL, rounds: 2 },
  { tasks: 5000, workers: 50, report: 'last', shapes: ALL, rounds: 2 },
  // Whether the cost of a task stays what it is, from a thousand to a million, and from few workers to many.
  {
    tasks: 1000,
    workers: 1000,
    report: 'last',
    shapes: GROW,
    rounds: 3,
    processes: 2,
    creates: 20,
  },
  {
    tasks: 10_000,
    workers: 1000,
    report: 'last',
    shapes: GROW,
    rounds: 3,
    processes: 2,
    creates: 2,
  },
  { tasks: 100_000, workers: 1000, report: 'last', shapes: GROW, rounds: 2, processes: 2 },
  { tasks: 1_000_000, workers: 1000, report: 'last', shapes: GROW, rounds: 1, processes: 2 },
  { tasks: 50_000, workers: 10, report: 'last', shapes: UP, rounds: 2 },
  { tasks: 50_000, workers: 100, report: 'last', shapes: UP, rounds: 2 },
  { tasks: 50_000, workers: 1000, report: 'last', shapes: UP, rounds: 2, processes: 2 },
  { tasks: 50_000, workers: 5000, report: 'last', shapes: UP, rounds: 2, processes: 2 },
  { tasks: 10_000, workers: 10, report: 'each', shapes: UP, rounds: 2 },
  { tasks: 10_000, workers: 100, report: 'each', shapes: UP, rounds: 2 },
  { tasks: 10_000, workers: 1000, report: 'each', shapes: UP, rounds: 2, processes: 2 },
  { tasks: 10_000, workers: 5000, report: 'each', shapes: UP, rounds: 2, processes: 2 },
];

/** A plan of the command line; undefined without one. */
function planned(args: readonly string[]): Plan | undefined {
  if (args.length === 0) return undefined;
  const { values } = parseArgs({
    args: [...args],
    options: {
      tasks: { type: 'string', default: '1000' },
      workers: { type: 'string', default: '50' },
      processes: { type: 'string', default: '1' },
      report: { type: 'string', default: 'each' },
      shapes: { type: 'string', default: ALL.join(',') },
      rounds: { type: 'string', default: '1' },
      creates: { type: 'string', default: '1' },
      profile: { type: 'string' },
    },
  });
  return {
    tasks: Number(values.tasks),
    workers: Number(values.workers),
    processes: Number(values.processes),
    report: values.report === 'each' ? 'each' : 'last',
    shapes: values.shapes.split(','),
    rounds: Number(values.rounds),
    creates: Number(values.creates),
    profile: values.profile,
  };
}

/** How often workers tell that they live: often enough that a loss is noticed within a few seconds. */
const LOSS_HEARTBEAT_MS = 1000;
/** What tasks cost is told without heartbeats, which `sessions` measures: thousands are never at rest. */
const HEARTBEAT_MS = 60_000;

async function play(session: Session, plan: Plan): Promise<void> {
  const undo = new Undo();
  try {
    const { tasks, workers, report, profile } = plan;
    const directory = mkdtempSync(join(onDisk(), 'skein-bench-cluster-'));
    undo.add('remove the files', () => rmSync(directory, { recursive: true }));
    if (profile !== undefined) mkdirSync(profile, { recursive: true });
    const manager = await SkeinManager.start({
      directory,
      host: '127.0.0.1',
      port: 0,
      undo,
      profile,
      heartbeatMs: plan.shapes.includes('loss') ? LOSS_HEARTBEAT_MS : HEARTBEAT_MS,
    });
    const { address, membership } = manager;
    const { processes = 1, creates = 1 } = plan;
    await using crowd = await Crowd.join({ address, membership, workers, processes, report });
    await learnIdle(manager.stat);
    for (const name of plan.shapes) {
      const shape = SHAPES.get(name);
      assert(shape, `no such shape: ${name}; there are ${ALL.join(', ')}`);
      const rounds: Measured[] = [];
      // Workers that are lost do not come back.
      const times = name === 'loss' ? 1 : plan.rounds;
      for (let round = 0; round < times; round += 1)
        rounds.push(...(await shape({ manager, crowd, tasks, workers, creates })));
      for (const [what, same] of Map.groupBy(rounds, (round) => round.shape)) {
        tell(session, `${what}: ${tasks} tasks, ${workers} workers, ${said(report)}`, same);
      }
    }
    await manager.stop();
    if (profile !== undefined) for (const line of longTurns(profile)) session.note(line);
  } finally {
    undo[Symbol.dispose]();
  }
}

const said = (report: ReportMode): string =>
  report === 'each' ? 'five states, a call each' : 'batched reports';

async function run(session: Session): Promise<void> {
  const own = planned(session.args);
  const plans = own ? [own] : session.pick({ tiny: TINY, short: SHORT, full: FULL });
  for (const plan of plans) await play(session, plan);
}

export const bench: Bench = {
  about: 'the whole path under load: create, update, scale, churn and loss on simulated workers',
  run,
};
