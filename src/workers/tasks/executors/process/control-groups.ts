/**
 * Control groups of tasks: limits of memory, processor time and processes, and the certainty that
 * nothing of a task outlives it. Version 1 (a hierarchy for each controller) and version 2 (one for
 * all); where neither can be written, tasks run without, and it is said once.
 */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

export type Limits = {
  /** Each 0 for no limit. */
  readonly memoryBytes: number;
  readonly nanoCpus: number;
  readonly processes: number;
};

const CONTROLLERS = ['memory', 'cpu', 'pids'] as const;
type Controller = (typeof CONTROLLERS)[number];

const PERIOD_US = 100_000;

/** Where each controller's groups of ours are; the same place for all in version 2. */
type Layout = { readonly version: 1 | 2; readonly roots: ReadonlyMap<Controller, string> };

export class ControlGroups {
  readonly #layout: Layout | undefined;

  /**
   * Finds out where groups can be made, and makes none yet.
   *
   * @param mounts the text of `/proc/self/mounts`
   */
  constructor(nodeId: string, mounts: string = readFileSync('/proc/self/mounts', 'utf8')) {
    this.#layout = layoutOf(mounts, `skein-${nodeId}`);
  }

  /** Undefined when this machine allows none. */
  get version(): 1 | 2 | undefined {
    return this.#layout?.version;
  }

  /** Limits that are asked for and cannot be set here. */
  missing(limits: Limits): Controller[] {
    const asked: readonly (readonly [Controller, number])[] = [
      ['memory', limits.memoryBytes],
      ['cpu', limits.nanoCpus],
      ['pids', limits.processes],
    ];
    return asked
      .filter(([name, value]) => value > 0 && this.#layout?.roots.has(name) !== true)
      .map(([name]) => name);
  }

  /** Makes the task's group, with its limits. */
  create(taskId: string, limits: Limits): void {
    for (const root of this.#roots()) {
      mkdirSync(root, { recursive: true });
      if (this.#layout?.version === 2) handDown(root, [...this.#layout.roots.keys()]);
      mkdirSync(join(root, taskId), { recursive: true });
    }
    for (const [controller, root] of this.#layout?.roots ?? []) {
      for (const [name, value] of settings(this.#layout?.version ?? 1, controller, limits)) {
        writeFileSync(join(root, taskId, name), value);
      }
    }
  }

  /** Puts a process in the task's group. */
  add(taskId: string, pid: number): void {
    for (const path of this.#paths(taskId)) writeFileSync(join(path, 'cgroup.procs'), String(pid));
  }

  /** Processes in the task's group. */
  members(taskId: string): number[] {
    const pids = this.#paths(taskId)
      .filter((path) => existsSync(path))
      .flatMap((path) => readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n'))
      .filter((line) => line !== '');
    return [...new Set(pids.map(Number))];
  }

  /** Whether the kernel has ended a process of the group for want of memory. */
  ranOutOfMemory(taskId: string): boolean {
    const root = this.#layout?.roots.get('memory');
    if (root === undefined) return false;
    const name = this.#layout?.version === 2 ? 'memory.events' : 'memory.oom_control';
    const path = join(root, taskId, name);
    return existsSync(path) && /^oom_kill [1-9]/m.test(readFileSync(path, 'utf8'));
  }

  /** Takes the task's group away; returns false while processes are in it. */
  remove(taskId: string): boolean {
    const gone = this.#paths(taskId).map(removeDirectory).every(Boolean);
    // With the last task's group the node's goes.
    for (const root of this.#roots()) removeDirectory(root);
    return gone;
  }

  /** Tasks that have a group. */
  taskIds(): string[] {
    const entries = [...this.#roots()].flatMap((root) =>
      existsSync(root) ? readdirSync(root, { withFileTypes: true }) : [],
    );
    return [...new Set(entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name))];
  }

  #roots(): Set<string> {
    return new Set(this.#layout?.roots.values());
  }

  #paths(taskId: string): string[] {
    return [...this.#roots()].map((root) => join(root, taskId));
  }
}

function settings(
  version: 1 | 2,
  controller: Controller,
  limits: Limits,
): (readonly [name: string, value: string])[] {
  const quotaUs = Math.max(1000, Math.round((limits.nanoCpus / 1e9) * PERIOD_US));
  const { memoryBytes, nanoCpus, processes } = limits;
  if (controller === 'pids') return processes > 0 ? [['pids.max', String(processes)]] : [];
  if (controller === 'memory') {
    const name = version === 2 ? 'memory.max' : 'memory.limit_in_bytes';
    return memoryBytes > 0 ? [[name, String(memoryBytes)]] : [];
  }
  if (nanoCpus === 0) return [];
  if (version === 2) return [['cpu.max', `${quotaUs} ${PERIOD_US}`]];
  return [
    ['cpu.cfs_period_us', String(PERIOD_US)],
    ['cpu.cfs_quota_us', String(quotaUs)],
  ];
}

/** What this machine has, as far as groups can be made there. */
function layoutOf(mounts: string, name: string): Layout | undefined {
  const roots = new Map<Controller, string>();
  const lines = mounts.split('\n').map((line) => line.split(' '));
  for (const [, path = '', type, options = ''] of lines) {
    if (type !== 'cgroup') continue;
    const controllers = CONTROLLERS.filter((controller) => options.split(',').includes(controller));
    const root = join(path, name);
    if (controllers.length === 0 || !makeRoot(root)) continue;
    removeDirectory(root);
    for (const controller of controllers) roots.set(controller, root);
  }
  if (roots.size > 0) return { version: 1, roots };
  const unified = lines.find(([, , type]) => type === 'cgroup2')?.[1];
  if (unified === undefined) return undefined;
  const root = join(unified, name);
  const usable = makeRoot(root) ? delegated(unified, root) : [];
  removeDirectory(root);
  if (usable.length === 0) return undefined;
  return { version: 2, roots: new Map(usable.map((controller) => [controller, root])) };
}

/** In version 2 each level hands its controllers down; returns those that reach ours. */
function delegated(unified: string, root: string): Controller[] {
  return CONTROLLERS.filter((controller) => {
    try {
      for (const path of [unified, root]) handDown(path, [controller]);
      return true;
    } catch {
      // Not ours to hand down, or this level has processes of its own.
      return false;
    }
  });
}

function handDown(path: string, controllers: readonly Controller[]): void {
  for (const controller of controllers) {
    writeFileSync(join(path, 'cgroup.subtree_control'), `+${controller}`);
  }
}

/** Whether groups can be made there. */
function makeRoot(path: string): boolean {
  if (existsSync(path)) return true;
  try {
    mkdirSync(path);
    return true;
  } catch {
    // A machine that does not let us is one without groups.
    return false;
  }
}

function removeDirectory(path: string): boolean {
  if (!existsSync(path)) return true;
  try {
    rmdirSync(path);
    return true;
  } catch {
    // Not empty yet.
    return false;
  }
}
