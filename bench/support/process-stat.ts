/** What the kernel knows of a process: its processor time and memory. */
import assert from 'node:assert/strict';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { clockMs } from '../crowd/messages.ts';

/** Linux counts processor time in these. */
const TICKS_PER_SECOND = 100;

/** User and system seconds in a `stat` file. */
function seconds(stat: string): number {
  // The name of the process may hold spaces and stands in brackets.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

export class ProcessStat {
  readonly #folder: string;
  /** What it uses at most when it has nothing to do, in cores. */
  idleCores = IDLE_CORES;

  constructor(pid: number | undefined) {
    assert(pid !== undefined, 'the process did not start');
    this.#folder = `/proc/${pid}`;
  }

  /** User and system time of all threads so far. */
  cpuSeconds(): number {
    return seconds(readFileSync(`${this.#folder}/stat`, 'utf8'));
  }

  /** CPU seconds of the main thread alone. */
  mainCpuSeconds(): number {
    const [, , pid] = this.#folder.split('/');
    return seconds(readFileSync(`${this.#folder}/task/${pid}/stat`, 'utf8'));
  }

  threads(): number {
    return readdirSync(`${this.#folder}/task`).length;
  }

  /** Resident size now, in bytes. */
  residentBytes(): number {
    const [, kib] = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`${this.#folder}/status`, 'utf8')) ?? [];
    return Number(kib) * 1024;
  }

  /** Largest resident size since `resetPeak`, in bytes. */
  peakBytes(): number {
    const [, kib] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`${this.#folder}/status`, 'utf8')) ?? [];
    return Number(kib) * 1024;
  }

  resetPeak(): void {
    writeFileSync(`${this.#folder}/clear_refs`, '5');
  }
}

const WINDOW_MS = 500;
/** So many windows in a row with no more than idle work are rest. */
const QUIET_WINDOWS = 2;
/** A manager with a few sessions and nothing to do stays below this; in cores. */
const IDLE_CORES = 0.1;
/** Windows that are alike: what a process does in them is what it does when idle. */
const ALIKE_WINDOWS = 6;
/** How far they may be apart, in cores, and what may come on top of the busiest of them. */
const ALIKE_CORES = 0.1;
const ABOVE_IDLE = 1.2;

export type Rest = {
  /** When it was at rest first, by `clockMs`. */
  readonly atMs: number;
  /** CPU seconds that it had used by then. */
  readonly cpuSeconds: number;
};

/** Cores used in one window after the other. */
async function* windows(
  stat: ProcessStat,
  timeoutMs: number,
): AsyncGenerator<Rest & { readonly cores: number }, never> {
  const deadline = clockMs() + timeoutMs;
  let last = { atMs: clockMs(), cpuSeconds: stat.cpuSeconds() };
  for (;;) {
    await sleep(WINDOW_MS);
    const now = { atMs: clockMs(), cpuSeconds: stat.cpuSeconds() };
    const cores = ((now.cpuSeconds - last.cpuSeconds) * 1000) / (now.atMs - last.atMs);
    yield { ...now, cores };
    if (now.atMs > deadline) throw new Error(`still at work (${cores.toFixed(2)} cores)`);
    last = now;
  }
}

/** Learns what the process uses when it has nothing to do: its sessions' heartbeats, or a profiler. */
export async function learnIdle(stat: ProcessStat, timeoutMs = 60_000): Promise<void> {
  let last: number[] = [];
  for await (const { cores } of windows(stat, timeoutMs)) {
    last = [...last, cores].slice(-ALIKE_WINDOWS);
    const most = Math.max(...last);
    if (last.length < ALIKE_WINDOWS || most - Math.min(...last) > ALIKE_CORES) continue;
    stat.idleCores = Math.max(IDLE_CORES, most * ABOVE_IDLE);
    return;
  }
}

/** Resolves once the process works no more than it does when idle. */
export async function untilAtRest(stat: ProcessStat, timeoutMs = 600_000): Promise<Rest> {
  let rest: Rest = { atMs: clockMs(), cpuSeconds: stat.cpuSeconds() };
  let quiet = 0;
  for await (const { cores, ...now } of windows(stat, timeoutMs)) {
    quiet = cores <= stat.idleCores ? quiet + 1 : 0;
    if (quiet === 0) rest = now;
    if (quiet === QUIET_WINDOWS) return rest;
  }
  return rest;
}
