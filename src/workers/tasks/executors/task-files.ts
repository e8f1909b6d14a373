/**
 * Secrets and configs of running tasks as files: one directory a task, below one directory a node that
 * only its owner can enter, on a memory file system wherever the machine has one. They are written
 * before the task starts and wiped when it is removed; after a crash of the worker they are still
 * there for the tasks that run on.
 */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { ContainerSpec } from '../../../shared/wire/gen/specs.ts';
import type { FileTarget } from '../../../shared/wire/gen/types.ts';
import { expandPayload, type PayloadSources } from '../../../shared/model/templates.ts';
import { FatalError } from './errors.ts';

/** One file for a task. */
export type TaskFile = {
  readonly kind: 'secret' | 'config';
  /** As the spec has it: absolute, or relative to where the runtime keeps its secrets or configs. */
  readonly target: string;
  readonly uid: number;
  readonly gid: number;
  readonly mode: number;
  readonly data: Uint8Array;
};

const MODE_DEFAULT = 0o444;

/** The files that a spec asks for, with templated payloads expanded. @throws when one may not be had */
export function filesOf(spec: ContainerSpec, sources: PayloadSources): TaskFile[] {
  const files: TaskFile[] = [];
  for (const { secretId, secretName, target } of spec.secrets) {
    if (target === undefined) continue;
    const { data } = expandPayload(`secret ${secretName}`, sources.secret(secretId).spec, sources);
    files.push(fileOf('secret', secretName, target.value, data));
  }
  for (const { configId, configName, target } of spec.configs) {
    if (target?.case !== 'file') continue;
    const { data } = expandPayload(`config ${configName}`, sources.config(configId).spec, sources);
    files.push(fileOf('config', configName, target.value, data));
  }
  return files;
}

function fileOf(
  kind: TaskFile['kind'],
  name: string,
  target: FileTarget,
  data: Uint8Array,
): TaskFile {
  if (target.name === '' || target.name.split('/').includes('..')) {
    throw new FatalError(`${kind} ${name} has an invalid target: ${JSON.stringify(target.name)}`);
  }
  const id = (text: string): number => {
    if (!/^\d*$/.test(text)) throw new FatalError(`${kind} ${name}: ${text} is no numeric id`);
    return Number(text);
  };
  // Go's file modes keep the set-id and sticky bits elsewhere: only permissions are taken.
  const mode = target.mode & 0o777 || MODE_DEFAULT;
  return { kind, target: target.name, uid: id(target.uid), gid: id(target.gid), mode, data };
}

/** `statfs` type of tmpfs. */
const TMPFS = 0x01021994;

export class TaskFiles {
  /** Everything of this node is below it. */
  readonly directory: string;
  /** Whether it is in memory. */
  readonly inMemory: boolean;

  /** @param base where to keep it; undefined for the first memory file system that can be written */
  constructor(nodeId: string, base: string = firstInMemory() ?? tmpdir()) {
    this.directory = join(base, `skein-${nodeId}`);
    this.inMemory = isInMemory(base);
  }

  directoryOf(taskId: string): string {
    return join(this.directory, taskId);
  }

  /**
   * Writes a task's files; `pathOf` says where, relative to the task's directory.
   *
   * @returns their paths, in order
   */
  write(
    taskId: string,
    files: readonly TaskFile[],
    pathOf: (file: TaskFile, index: number) => string,
  ): string[] {
    // Each level that has to be made is closed to others.
    if (files.length > 0) mkdirSync(this.directoryOf(taskId), { recursive: true, mode: 0o700 });
    return files.map((file, index) => {
      const path = join(this.directoryOf(taskId), pathOf(file, index));
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      rmSync(path, { force: true });
      writeFileSync(path, file.data, { mode: 0o600 });
      own(path, file);
      chmodSync(path, file.mode);
      return path;
    });
  }

  /** Lets a user into the task's directory, and nobody else but root. */
  give(taskId: string, user: { readonly uid: number; readonly gid: number } | undefined): void {
    const directory = this.directoryOf(taskId);
    chmodSync(directory, 0o700);
    if (user === undefined) return;
    // Others on this machine may pass through, without seeing what there is.
    chmodSync(this.directory, 0o711);
    chownSync(directory, user.uid, user.gid);
  }

  /** Takes a task's files away, and with the last ones the node's directory. */
  wipe(taskId: string): void {
    rmSync(this.directoryOf(taskId), { recursive: true, force: true });
    try {
      if (existsSync(this.directory)) rmdirSync(this.directory);
    } catch {
      // Other tasks have files there.
    }
  }

  /** Tasks that have files here. */
  taskIds(): string[] {
    return existsSync(this.directory) ? readdirSync(this.directory) : [];
  }
}

/** Gives a file to its owner; an unprivileged worker can only give it to itself. */
function own(path: string, file: TaskFile): void {
  if (process.getuid?.() === 0) chownSync(path, file.uid, file.gid);
  else if (file.uid !== 0 && file.uid !== process.getuid?.()) {
    throw new FatalError(
      `${file.kind} ${file.target}: only root can give a file to user ${file.uid}`,
    );
  }
}

function isInMemory(path: string): boolean {
  return statfsSync(path).type === TMPFS;
}

function firstInMemory(): string | undefined {
  const candidates = ['/run', process.env['XDG_RUNTIME_DIR'] ?? '', '/dev/shm'];
  return candidates.find((path) => {
    if (path === '') return false;
    try {
      if (!isInMemory(path)) return false;
      const probe = join(path, `skein-probe-${process.pid}-${Math.random()}`);
      mkdirSync(probe);
      rmSync(probe, { recursive: true });
      return true;
    } catch {
      return false;
    }
  });
}
