/** Starts a task's process: without a shell, with its own environment, in a session of its own. */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, chownSync } from 'node:fs';
import { join } from 'node:path';
import { taskName } from '../../../../shared/model/names.ts';
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import type { ContainerSpec } from '../../../../shared/wire/gen/specs.ts';
import { FatalError, TemporaryError } from '../errors.ts';
import { resourceEnv } from '../resource-env.ts';
import type { Output } from './output.ts';
import type { ProcessUser } from './users.ts';

/** An entry of the environment by which a task's processes are known again. */
export const taskMark = (taskId: string): string => `SKEIN_TASK_ID=${taskId}`;

export type Launch = {
  readonly task: Task;
  readonly spec: ContainerSpec;
  readonly user: ProcessUser | undefined;
  readonly hostname: string;
  readonly directory: string;
  /** Where the task's secrets and configs are. */
  readonly filesDirectory: string;
  readonly output: Output;
};

/** @throws FatalError in the words in which engines say it, TemporaryError when the machine is full */
export async function launch(parts: Launch): Promise<ChildProcess> {
  const { spec, user, directory, output } = parts;
  const [command = '', ...args] = [...spec.command, ...spec.args];
  const cwd = workingDirectory(spec, user, directory);
  const [stdout, stderr] = output.open();
  try {
    const child = spawn(command, args, {
      cwd,
      env: environment(parts),
      detached: true,
      stdio: ['ignore', stdout, stderr],
      ...(user && { uid: user.uid, gid: user.gid }),
    });
    if (child.pid === undefined) throw await failure(child, command);
    return child;
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
}

function workingDirectory(
  spec: ContainerSpec,
  user: ProcessUser | undefined,
  directory: string,
): string {
  if (spec.dir !== '') {
    if (!existsSync(spec.dir)) throw new FatalError(`working directory ${spec.dir} does not exist`);
    return spec.dir;
  }
  const own = join(directory, 'work');
  mkdirSync(own, { recursive: true, mode: 0o700 });
  if (user !== undefined) chownSync(own, user.uid, user.gid);
  return own;
}

/** Nothing of the worker's own environment, which may hold what is not the task's. */
function environment(parts: Launch): Record<string, string> {
  const { task, spec, user, hostname, filesDirectory } = parts;
  const entries = [
    'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    `HOME=${user?.home ?? process.env['HOME'] ?? '/'}`,
    `HOSTNAME=${spec.hostname === '' ? hostname : spec.hostname}`,
    `SKEIN_SECRETS_DIR=${join(filesDirectory, 'secrets')}`,
    `SKEIN_CONFIGS_DIR=${join(filesDirectory, 'configs')}`,
    ...spec.env,
    ...resourceEnv(task),
    `SKEIN_TASK_NAME=${taskName(task)}`,
    taskMark(task.id),
  ];
  const pairs = entries.map((entry): [string, string] => {
    const end = entry.indexOf('=');
    return end < 0 ? [entry, ''] : [entry.slice(0, end), entry.slice(end + 1)];
  });
  return Object.fromEntries(pairs);
}

async function failure(child: ChildProcess, command: string): Promise<Error> {
  const error = await new Promise<NodeJS.ErrnoException>((resolve) => child.once('error', resolve));
  const quoted = JSON.stringify(command);
  if (error.code === 'ENOENT') {
    const isPath = command.includes('/');
    const text = isPath ? 'no such file or directory' : 'executable file not found in $PATH';
    return new FatalError(`exec: ${quoted}: ${text}`, { cause: error, exitCode: 127 });
  }
  if (error.code === 'EACCES') {
    return new FatalError(`exec: ${quoted}: permission denied`, { cause: error, exitCode: 126 });
  }
  const full = error.code === 'EAGAIN' || error.code === 'ENOMEM';
  const text = `exec: ${quoted}: ${error.message}`;
  return full ? new TemporaryError(text, { cause: error }) : new FatalError(text, { cause: error });
}
