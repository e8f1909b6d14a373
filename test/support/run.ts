/** Running the machine's own commands. */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

export type Finished = {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
};

/** Runs to its end. @throws Error with both outputs when it fails. */
export function run(command: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  if (status === 0) return stdout;
  throw new Error(`${command} ${args.join(' ')}: exit code ${status}\n${stdout}${stderr}`);
}

/** Runs to its end beside this thread; whatever the exit code. */
export function tryRun(command: string, ...args: readonly string[]): Promise<Finished> {
  return new Promise((resolve) => {
    execFile(command, args, { encoding: 'utf8' }, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.code;
      resolve({ code: typeof code === 'number' ? code : 1, stdout, stderr });
    });
  });
}

/** Whether a process is there and no zombie. */
export function isAlive(pid: number): boolean {
  const { status, stdout } = spawnSync('ps', ['-o', 'stat=', '-p', String(pid)], {
    encoding: 'utf8',
  });
  return status === 0 && !stdout.trim().startsWith('Z');
}

/** Ends a process: asks, waits, forces. It blocks, so that it works while this process ends. */
export function endProcess(pid: number, patienceMs: number): void {
  if (!isAlive(pid)) return;
  process.kill(pid, 'SIGTERM');
  const deadline = Date.now() + patienceMs;
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  while (isAlive(pid) && Date.now() < deadline) Atomics.wait(nothing, 0, 0, 50);
  if (isAlive(pid)) process.kill(pid, 'SIGKILL');
}

/** Those of the commands that this machine lacks. */
export function missingCommands(...names: readonly string[]): string[] {
  const folders = (process.env['PATH'] ?? '').split(':');
  return names.filter((name) => !folders.some((folder) => existsSync(join(folder, name))));
}
