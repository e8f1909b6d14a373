/**
 * What else the machine does while something is measured: processor time of all processes, from
 * /proc/stat, less our own. Without that file (not Linux) nothing is known of the others.
 */
import { spawnSync } from 'node:child_process';
import { availableParallelism, cpus } from 'node:os';
import { readFileSync } from 'node:fs';

/** The clock of /proc/stat. */
const TICK_MS = 10;

export type Watch = {
  /** Cores that other processes used, on average, since the watch was started; NaN if unknown. */
  readonly othersCores: () => number;
};

/** Windows shorter than this say nothing: the kernel's clock is too coarse. */
const WINDOW_MIN_MS = 50;

export function watchMachine(): Watch {
  const startMs = performance.now();
  const before = busyMs();
  const own = process.cpuUsage();
  return {
    othersCores: () => {
      const wallMs = performance.now() - startMs;
      if (wallMs < WINDOW_MIN_MS) return Number.NaN;
      const used = process.cpuUsage(own);
      const othersMs = busyMs() - before - (used.user + used.system) / 1000;
      return Math.max(0, othersMs / wallMs);
    },
  };
}

/** Processor time that the whole machine spent since it started, stolen time included. */
function busyMs(): number {
  let text: string;
  try {
    text = readFileSync('/proc/stat', 'utf8');
  } catch {
    return Number.NaN;
  }
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = text
    .slice(0, text.indexOf('\n'))
    .split(/\s+/)
    .map(Number);
  return (user + nice + system + irq + softirq + steal) * TICK_MS;
}

/** What a reader of figures should know of the machine. */
export function machine(): { readonly node: string; readonly cpu: string; readonly cores: number } {
  const cpu = cpus()[0]?.model.trim() ?? 'unknown';
  return { node: process.version, cpu, cores: availableParallelism() };
}

/** The commit of this checkout, with `-dirty` when something is not committed; null outside one. */
export function commit(): string | null {
  const cwd = import.meta.dirname;
  const args = ['describe', '--always', '--dirty', '--exclude=*'];
  const { status, stdout } = spawnSync('git', args, { cwd, encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
