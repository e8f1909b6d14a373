/**
 * What really runs, read from the machine's own process list: processes that carry a mark in their
 * environment, and the tasks that they are.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { endProcess } from './run.ts';

/** What the process executor puts into the environment of a task. */
const TASK_ID = 'SKEIN_TASK_ID=';
const PATIENCE_MS = 10_000;

/** Environments of the processes that carry `mark` (`NAME=value`), by process id. */
function marked(mark: string): Map<number, readonly string[]> {
  const found = new Map<number, readonly string[]>();
  for (const pid of readdirSync('/proc').map(Number)) {
    if (!(pid > 0) || pid === process.pid) continue;
    try {
      const entries = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0');
      if (entries.includes(mark)) found.set(pid, entries);
    } catch {
      // Gone meanwhile, or not ours to read.
    }
  }
  return found;
}

/** The process of each task, for tasks that carry `mark`. @throws Error on two of one task */
export function programsWith(mark: string): ReadonlyMap<string, number> {
  const pids = new Map<string, number>();
  for (const [pid, entries] of marked(mark)) {
    const id = entries.find((entry) => entry.startsWith(TASK_ID))?.slice(TASK_ID.length);
    if (id === undefined) continue;
    const other = pids.get(id);
    if (other !== undefined) throw new Error(`task ${id} runs twice: ${other} and ${pid}`);
    pids.set(id, pid);
  }
  return pids;
}

/** Kills whatever carries `mark`; all of it is gone when this returns. */
export function killMarked(mark: string): void {
  for (const pid of marked(mark).keys()) {
    process.kill(pid, 'SIGKILL');
    endProcess(pid, PATIENCE_MS);
  }
}
