/** What is told of one shape that a cluster was put through. */
import type { Goal, Label, Session } from '../kit/bench.ts';
import type { Measured } from './shapes.ts';

/** Of the main thread's turns, and of a task in the store. */
const TURN_GOAL = { atMost: 50 } as const;
const STORE_GOAL = { atMost: 1024 } as const;
/** Tasks from which on what the store takes says something of a task. */
const MANY_TASKS = 10_000;
/** What a million tasks may take, until all run and in memory. */
const MILLION = 1_000_000;
const MILLION_GOALS = { wallMs: { atMost: 180_000 }, peakMiB: { atMost: 8192 } } as const;

const ofMillion =
  (goal: Goal) =>
  ({ tasks }: Measured): Goal | undefined =>
    tasks >= MILLION ? goal : undefined;

type Figure = Pick<Label, 'metric' | 'unit' | 'better'> & {
  readonly of: (measured: Measured) => number;
  readonly goal?: (measured: Measured) => Goal | undefined;
};

const less = (metric: string, unit: string, of: Figure['of'], goal?: Figure['goal']): Figure => ({
  metric,
  unit,
  better: 'less',
  of,
  ...(goal === undefined ? {} : { goal }),
});

const more = (metric: string, of: Figure['of']): Figure => ({
  metric,
  unit: 'tasks/s',
  better: 'more',
  of,
});

/** Tasks a second between the first and the last of their commits. */
const rate = ({ count, firstMs, lastMs }: Measured['reading']['created']): number =>
  (count * 1000) / Math.max(1, lastMs - firstMs);

const FIGURES: readonly Figure[] = [
  less('wall', 'ms', (m) => m.wallMs / m.times, ofMillion(MILLION_GOALS.wallMs)),
  less('to rest', 'ms', (m) => m.rest.atMs - m.startMs),
  less('cpu', 'us a task', (m) => (m.cpuSeconds * 1e6) / m.tasks),
  less('main', 'us a task', (m) => (m.mainCpuSeconds * 1e6) / m.tasks),
  less('crowd', 'us a task', (m) => (m.crowdCpuSeconds * 1e6) / m.tasks),
  less('calls', 'a task', (m) => m.calls / m.tasks),
  more('made', (m) => rate(m.reading.created)),
  more('decided', (m) => rate(m.reading.decided)),
  more('placed', (m) => rate(m.reading.assigned)),
  more('running', (m) => rate(m.reading.running)),
  less('placed p50', 'ms since the call', (m) => m.reading.assigned.p50Ms),
  less('placed p99', 'ms since the call', (m) => m.reading.assigned.p99Ms),
  less('running p50', 'ms since the call', (m) => m.reading.running.p50Ms),
  less('running p99', 'ms since the call', (m) => m.reading.running.p99Ms),
  less('placed p50', "ms of a task's life", (m) => m.reading.assignedAfter.p50Ms),
  less('placed p99', "ms of a task's life", (m) => m.reading.assignedAfter.p99Ms),
  less('running p50', "ms of a task's life", (m) => m.reading.runningAfter.p50Ms),
  less('running p99', "ms of a task's life", (m) => m.reading.runningAfter.p99Ms),
  less('log', 'bytes a task', (m) => m.reading.log.bytes / m.tasks),
  less(
    'turn',
    'ms of CPU, longest',
    (m) => m.reading.mainThread.longestCpuMs,
    () => TURN_GOAL,
  ),
  less('turn', 'ms of wall, longest', (m) => m.reading.mainThread.longestMs),
  less('turn p99', 'ms of CPU', (m) => m.reading.mainThread.p99CpuMs),
  less('turns > 10 ms', '% of the thread', (m) => m.reading.mainThread.longShare * 100),
  less('gc', 'us a task', (m) => (m.reading.mainThread.gcMs * 1000) / m.tasks),
  less('gc', 'ms, longest', (m) => m.reading.mainThread.longestGcMs),
  less('peak', 'MiB', (m) => m.peakBytes / 2 ** 20, ofMillion(MILLION_GOALS.peakMiB)),
  less('crowd peak', 'MiB', (m) => m.crowdPeakBytes / 2 ** 20),
  less(
    'store',
    'bytes a task',
    (m) => m.reading.storeBytesPerTask,
    (m) => (m.tasks >= MANY_TASKS ? STORE_GOAL : undefined),
  ),
];

/** Shapes that make no tasks have no rates of them. */
const isTold = (metric: string, { reading }: Measured): boolean =>
  reading.created.count > 0 || !/^(?:made|decided|placed|running|store)/.test(metric);

/** Records the figures of the rounds of one shape. */
export function tell(session: Session, scenario: string, rounds: readonly Measured[]): void {
  const [first] = rounds;
  if (first === undefined) return;
  for (const { of, goal, ...figure } of FIGURES) {
    if (!isTold(figure.metric, first)) continue;
    const label = { scenario, side: 'skein', ...figure, goal: goal?.(first) };
    session.record(label, rounds.map(of));
  }
}
