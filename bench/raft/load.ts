/** What a member's log does for so many clients at a time, beside the disk itself, in rounds. */
import type { Goal, Label, Session } from '../kit/bench.ts';
import { quantile } from '../kit/stats.ts';
import type { Clients } from './clients.ts';
import type { RawFile } from './disk.ts';

/** What logs were asked to store so far. */
export type Saves = {
  /** Synced writes of the leader's. */
  readonly leader: number;
  /** Synced writes of a follower's, on average. */
  readonly follower: number;
  /** What the entries carried, at the leader's. */
  readonly bytes: number;
};

export type Load = {
  readonly clients: Clients;
  /** Commits that are waited for at a time. */
  readonly inFlight: number;
  readonly saves: () => Saves | Promise<Saves>;
};

export type LoadFigure = Pick<Label, 'metric' | 'unit' | 'better'> & {
  readonly of: (result: Result) => number;
};

/** What one round of one load came to. */
export type Result = {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  /** Median of the disk's own synced writes meanwhile; NaN for many clients. */
  readonly rawP50: number;
  /** Of this process: clients, store and log. */
  readonly cpuUs: number;
  readonly bytes: number;
  readonly perSave: number;
  readonly savesOfFollower: number;
};

/** Clients whose commits are to share log writes, and how many of them a write is to carry. */
const MANY = 1024;
const GROUP_GOAL = { atLeast: 50 } as const;

const sum = (values: readonly number[]): number => values.reduce((total, each) => total + each, 0);

async function measure(load: Load, ms: number, file: RawFile): Promise<Result> {
  const before = await load.saves();
  const cpu = process.cpuUsage();
  const startMs = performance.now();
  const { commits, raw } = await load.clients.run(load.inFlight, ms, file);
  const elapsedMs = performance.now() - startMs - sum(raw);
  const used = process.cpuUsage(cpu);
  const after = await load.saves();
  const saves = after.leader - before.leader;
  return {
    perSecond: (commits.length * 1000) / elapsedMs,
    p50: quantile(commits, 0.5),
    p99: quantile(commits, 0.99),
    rawP50: quantile(raw, 0.5),
    cpuUs: (used.user + used.system) / commits.length,
    bytes: (after.bytes - before.bytes) / commits.length,
    perSave: commits.length / saves,
    savesOfFollower: (after.follower - before.follower) / saves,
  };
}

/** Results by load, round by round; the first round does not count. */
export async function playLoads(
  session: Session,
  loads: readonly Load[],
  file: RawFile,
): Promise<ReadonlyMap<Load, readonly Result[]>> {
  const ms = session.pick({ tiny: 30, short: 1000, full: 2000 });
  const rounds = session.pick({ tiny: 1, short: 5, full: 7 });
  const results = new Map(loads.map((load) => [load, new Array<Result>()]));
  const raw = { p50: new Array<number>(), p99: new Array<number>() };
  for (let round = session.size === 'tiny' ? 0 : -1; round < rounds; round += 1) {
    const times = Array.from({ length: session.pick({ tiny: 20, short: 500, full: 1000 }) }, () =>
      file.sync(),
    );
    if (round >= 0) {
      raw.p50.push(quantile(times, 0.5));
      raw.p99.push(quantile(times, 0.99));
    }
    for (const load of loads) {
      const result = await measure(load, ms, file);
      if (round >= 0) results.get(load)?.push(result);
    }
  }
  const disk = { scenario: 'the disk alone', side: 'fdatasync', better: 'less' } as const;
  session.record({ ...disk, metric: 'p50', unit: 'ms' }, raw.p50);
  session.record({ ...disk, metric: 'p99', unit: 'ms' }, raw.p99);
  const rates = raw.p50.map((each) => 1000 / each);
  session.record({ ...disk, metric: 'rate', unit: '1/s', better: 'more' }, rates);
  return results;
}

const FIGURES: readonly LoadFigure[] = [
  { metric: 'commits', unit: '1/s', better: 'more', of: ({ perSecond }) => perSecond },
  { metric: 'p50', unit: 'ms', better: 'less', of: ({ p50 }) => p50 },
  { metric: 'p99', unit: 'ms', better: 'less', of: ({ p99 }) => p99 },
  { metric: 'cpu', unit: 'us a commit', better: 'less', of: ({ cpuUs }) => cpuUs },
  { metric: 'log', unit: 'bytes a commit', better: 'less', of: ({ bytes }) => bytes },
];

/** Records the rounds of one load. */
export function tellLoad(
  session: Session,
  {
    name,
    load,
    results,
    more = [],
    ratioGoal,
  }: {
    readonly name: string;
    readonly load: Load;
    readonly results: readonly Result[];
    readonly more?: readonly LoadFigure[];
    /** Of a single client's commit over the disk's own synced write. */
    readonly ratioGoal?: Goal | undefined;
  },
): void {
  const { inFlight } = load;
  const label = { scenario: `${name}, ${inFlight} in flight`, side: 'raft' };
  for (const { of, ...figure } of [...FIGURES, ...more]) {
    session.record({ ...label, ...figure }, results.map(of));
  }
  const goal = inFlight === MANY ? GROUP_GOAL : undefined;
  session.record(
    { ...label, metric: 'perSave', unit: 'commits a synced write', better: 'more', goal },
    results.map(({ perSave }) => perSave),
  );
  if (inFlight > 1) return;
  session.record(
    { ...label, metric: 'ratio', unit: 'x fdatasync', better: 'less', goal: ratioGoal },
    results.map(({ p50, rawP50 }) => p50 / rawP50),
  );
}
