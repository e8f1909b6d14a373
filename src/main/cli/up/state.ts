/** What `skein up` keeps of a cluster on this machine: where it is, and which processes it is made of. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { access, constants, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import * as v from 'valibot';
import { CommandError } from '../command-error.ts';

const PROCESS = v.object({
  name: v.string(),
  pid: v.pipe(v.number(), v.integer(), v.minValue(2)),
  /** When the kernel started it: a pid alone may be somebody else's by now. */
  startedAt: v.string(),
});
export type ProcessRecord = v.InferOutput<typeof PROCESS>;

const RECORD = v.object({
  name: v.string(),
  file: v.string(),
  socket: v.string(),
  /** `host:port` at which workers reach the manager. */
  address: v.string(),
  manager: v.optional(PROCESS),
  workers: v.array(PROCESS),
});
export type ClusterRecord = v.InferOutput<typeof RECORD>;

/** Longest path that a socket's address holds, with its final zero. */
const SOCKET_PATH_MAX = 107;

const shortHash = (text: string): string =>
  createHash('sha256').update(text).digest('hex').slice(0, 12);

/** `.skein/<name>` beside the file, or below the user's state directory when that cannot be written. */
export async function stateDirFor(file: string, name: string): Promise<string> {
  const folder = dirname(resolve(file));
  try {
    await access(folder, constants.W_OK);
    return join(folder, '.skein', name);
  } catch {
    const home = process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state');
    return join(home, 'skein', `${name}-${shortHash(folder)}`);
  }
}

/** The control socket: in the state directory, unless its path is too long for a socket. */
export function socketFor(stateDir: string): string {
  const inside = join(stateDir, 'control.sock');
  return Buffer.byteLength(inside) <= SOCKET_PATH_MAX
    ? inside
    : join(tmpdir(), `skein-${shortHash(stateDir)}.sock`);
}

const recordPath = (stateDir: string): string => join(stateDir, 'cluster.json');

/** The record of a cluster that was started here; undefined when there is none. */
export async function readRecord(stateDir: string): Promise<ClusterRecord | undefined> {
  let text: string;
  try {
    text = await readFile(recordPath(stateDir), 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  const parsed = v.safeParse(v.pipe(v.string(), v.parseJson(), RECORD), text);
  if (parsed.success) return parsed.output;
  throw new CommandError(
    `${recordPath(stateDir)} is damaged; end its processes and remove ${stateDir} to start anew`,
  );
}

export async function writeRecord(stateDir: string, record: ClusterRecord): Promise<void> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const next = `${recordPath(stateDir)}.next`;
  await writeFile(next, `${JSON.stringify(record, undefined, 2)}\n`, { mode: 0o600 });
  await rename(next, recordPath(stateDir));
}

/** Forgets the cluster: its log, its identities, its tasks' records. */
export async function removeState(stateDir: string, socket: string): Promise<void> {
  await rm(stateDir, { recursive: true, force: true });
  await rm(socket, { force: true });
}

/** The kernel's start time of a running process; undefined when there is none, or only its corpse. */
export function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // The name, in parentheses, may hold anything; the fields after it are plain.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

export function isAlive({ pid, startedAt }: ProcessRecord): boolean {
  return startTimeOf(pid) === startedAt;
}

const HOLDER = v.object({ pid: v.number(), startedAt: v.string() });

/** Whether the lock's holder is still there; a lock that cannot be read has none. */
async function isHeld(path: string): Promise<number | undefined> {
  const text = await readFile(path, 'utf8').catch(() => '');
  const holder = v.safeParse(v.pipe(v.string(), v.parseJson(), HOLDER), text);
  if (!holder.success) return undefined;
  return isAlive({ name: 'holder', ...holder.output }) ? holder.output.pid : undefined;
}

/**
 * Runs `work` while no other command starts or stops processes of this cluster.
 *
 * @throws CommandError when another one does
 */
export async function withLock<T>(stateDir: string, work: () => Promise<T>): Promise<T> {
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const path = join(stateDir, 'lock');
  const content = JSON.stringify({ pid: process.pid, startedAt: startTimeOf(process.pid) ?? '' });
  for (let isFirst = true; ; isFirst = false) {
    try {
      await writeFile(path, content, { flag: 'wx', mode: 0o600 });
      break;
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
      const pid = await isHeld(path);
      if (pid !== undefined || !isFirst) {
        throw new CommandError(
          `another "skein up" or "skein down" is at work on this cluster (pid ${pid ?? 'unknown'})`,
        );
      }
      await rm(path, { force: true });
    }
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}
