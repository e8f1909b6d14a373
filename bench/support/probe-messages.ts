/** What the probe in a measured Skein manager is asked, and what it answers. */
import type { TurnsReading } from './turns.ts';

export type ToProbe =
  | { readonly t: 'reset'; readonly since: 'now' | 'service' }
  /** Costs the process next to nothing. */
  | { readonly t: 'count' }
  /** Sorts all times. */
  | { readonly t: 'read' };

/** When the first, middle, 99th-percentile and last task got there, in milliseconds. */
export type Spread = {
  readonly count: number;
  readonly firstMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly lastMs: number;
};

/** Tasks now. */
export type TaskCounts = { readonly running: number; readonly stored: number };

/** Counters since the last reset, but for `tasks` and `readyNodes`. */
export type ProbeReading = {
  readonly readyNodes: number;
  readonly tasks: TaskCounts;
  /** Commits of tasks that were made. */
  readonly created: Spread;
  /** The thread's decisions on which node a task is to run. */
  readonly decided: Spread;
  /** Commits of such decisions, and of tasks seen running. */
  readonly assigned: Spread;
  readonly running: Spread;
  /** As the two before, each task's time counted from its own creation. */
  readonly assignedAfter: Spread;
  readonly runningAfter: Spread;
  readonly log: { readonly entries: number; readonly bytes: number; readonly writes: number };
  readonly mainThread: TurnsReading;
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number };
  /** Bytes of the task tables for each task in the store. */
  readonly storeBytesPerTask: number;
};

export type FromProbe = TaskCounts | ProbeReading;
