/** The processes of a cluster on this machine: started on their own, ended in order. */
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, renameSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { realEnv } from '../../env.ts';
import { CommandError } from '../command-error.ts';
import { isAlive, type ProcessRecord, startTimeOf } from './state.ts';

export type Launch = {
  readonly name: string;
  /** Words after `skein`. */
  readonly words: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  /** Where its output goes. */
  readonly logFile: string;
};

const POLL_MS = 50;
/** A worker gives its tasks their grace periods before it leaves. */
const LEAVE_TIMEOUT_MS = 45_000;
const STOP_TIMEOUT_MS = 15_000;
const KILL_TIMEOUT_MS = 5000;
const LOG_LINES_SHOWN = 8;

/**
 * Starts `skein …` in a session of its own, so that this terminal's Ctrl-C reaches only us. The log of
 * the run before is kept as `<log>.1`.
 */
export function launch(
  entry: string,
  { name, words, environment, logFile }: Launch,
): ProcessRecord {
  if (existsSync(logFile)) renameSync(logFile, `${logFile}.1`);
  const log = openSync(logFile, 'a', 0o600);
  try {
    const child = spawn(entry, words, {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, ...environment },
    });
    child.on('error', () => undefined);
    child.unref();
    const { pid } = child;
    const startedAt = pid === undefined ? undefined : startTimeOf(pid);
    if (pid === undefined || startedAt === undefined) {
      throw new CommandError(`cannot start ${name}: ${entry}`);
    }
    return { name, pid, startedAt };
  } finally {
    closeSync(log);
  }
}

/** The last words of a process, for an error. */
export async function lastWords(logFile: string): Promise<string> {
  try {
    const lines = (await readFile(logFile, 'utf8')).trimEnd().split('\n');
    return lines.slice(-LOG_LINES_SHOWN).join('\n');
  } catch {
    return '';
  }
}

/** Polls until `done` gives a value, the time is over (undefined), or the signal aborts (throws). */
export async function poll<T>(
  done: () => Promise<T | undefined> | T | undefined,
  {
    timeoutMs,
    periodMs = POLL_MS,
    signal,
  }: { timeoutMs: number; periodMs?: number; signal?: AbortSignal },
): Promise<T | undefined> {
  const endMs = realEnv.nowMs() + timeoutMs;
  for (;;) {
    const value = await done();
    if (value !== undefined) return value;
    if (realEnv.nowMs() >= endMs) return undefined;
    await sleep(periodMs, undefined, signal === undefined ? {} : { signal });
  }
}

function signalTo(record: ProcessRecord, signal: NodeJS.Signals): void {
  if (!isAlive(record)) return;
  try {
    process.kill(record.pid, signal);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

async function ends(record: ProcessRecord, timeoutMs: number): Promise<boolean> {
  return (await poll(() => (isAlive(record) ? undefined : true), { timeoutMs })) ?? false;
}

/**
 * Ends a process: by `first`, then SIGTERM, then SIGKILL. `hurry`, once aborted, kills at once.
 *
 * @returns whether it ended by itself
 */
async function end(
  record: ProcessRecord,
  { first, timeoutMs, hurry }: { first: NodeJS.Signals; timeoutMs: number; hurry: AbortSignal },
): Promise<boolean> {
  const onHurry = (): void => signalTo(record, 'SIGKILL');
  hurry.addEventListener('abort', onHurry);
  if (hurry.aborted) onHurry();
  try {
    for (const [signal, patienceMs] of [
      [first, timeoutMs],
      ['SIGTERM', STOP_TIMEOUT_MS],
      ['SIGKILL', KILL_TIMEOUT_MS],
    ] as const) {
      signalTo(record, signal);
      if (await ends(record, patienceMs)) return signal === first;
    }
  } finally {
    hurry.removeEventListener('abort', onHurry);
  }
  throw new CommandError(`${record.name} (pid ${record.pid}) does not end`);
}

/** Workers end their tasks and leave; then the manager stops. */
export async function stopAll(
  {
    manager,
    workers,
  }: { readonly manager?: ProcessRecord | undefined; readonly workers: readonly ProcessRecord[] },
  hurry: AbortSignal,
): Promise<void> {
  await Promise.all(
    workers.map((worker) => end(worker, { first: 'SIGINT', timeoutMs: LEAVE_TIMEOUT_MS, hurry })),
  );
  if (manager !== undefined) {
    await end(manager, { first: 'SIGTERM', timeoutMs: STOP_TIMEOUT_MS, hurry });
  }
}

/** A TCP port of the loopback address that nobody uses now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
