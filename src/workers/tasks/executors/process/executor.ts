/** Tasks as child processes of the worker: what a machine without a Docker Engine can run. */
import { mkdirSync, readdirSync } from 'node:fs';
import { availableParallelism, hostname, machine, platform, totalmem } from 'node:os';
import { join } from 'node:path';
import { RUNTIME_PLUGIN } from '../../../../shared/lanes/placement.ts';
import { expandContainerSpec, templateContext } from '../../../../shared/model/templates.ts';
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import { NodeDescription } from '../../../../shared/wire/gen/types.ts';
import type { Dependencies } from '../../core/dependencies.ts';
import { FatalError } from '../errors.ts';
import type { Controller, Executor, ExecutorLog, ExecutorNode } from '../executor.ts';
import { TaskFiles } from '../task-files.ts';
import { ControlGroups } from './control-groups.ts';
import { clearAway, ProcessController, type ProcessParts } from './controller.ts';
import { checkSpec } from './spec-check.ts';
import { ProcessWatcher } from './watcher.ts';

export type ProcessOptions = {
  /** Where tasks keep their records, logs and working directories. */
  readonly stateDir: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Where secrets are kept; undefined for the first memory file system, else the state directory. */
  readonly filesBase?: string;
};

export function processExecutor(
  node: ExecutorNode,
  options: ProcessOptions,
  log: ExecutorLog,
): Executor {
  const directory = join(options.stateDir, 'tasks');
  mkdirSync(directory, { recursive: true, mode: 0o711 });
  const files = new TaskFiles(node.nodeId, options.filesBase);
  if (!files.inMemory) {
    log.warn({ directory: files.directory }, 'no memory file system: secrets are kept on disk');
  }
  const groups = new ControlGroups(node.nodeId);
  if (groups.version === undefined) {
    log.warn({}, 'no control groups can be made here: limits of tasks are not enforced');
  }
  const watcher = new ProcessWatcher();
  return new ProcessExecutor(options, { node, directory, groups, files, watcher, log });
}

class ProcessExecutor implements Executor {
  readonly runtime = 'process';
  readonly #options: ProcessOptions;
  readonly #parts: ProcessParts;

  constructor(options: ProcessOptions, parts: ProcessParts) {
    this.#options = options;
    this.#parts = parts;
  }

  describe(): Promise<NodeDescription> {
    const description = NodeDescription.create({
      hostname: this.#parts.node.hostname || hostname(),
      platform: { architecture: machine(), os: platform() },
      resources: { nanoCpus: availableParallelism() * 1e9, memoryBytes: totalmem() },
      engine: {
        engineVersion: 'process',
        labels: { ...this.#options.labels },
        plugins: [
          { type: 'Network', name: 'host' },
          { type: RUNTIME_PLUGIN, name: 'process' },
        ],
      },
    });
    return Promise.resolve(description);
  }

  controller(task: Task, dependencies: Dependencies): Controller {
    const { runtime } = task.spec;
    if (runtime?.case !== 'container') throw new FatalError('exec: unsupported runtime');
    const node = {
      hostname: this.#parts.node.hostname || hostname(),
      platform: { architecture: machine(), os: platform() },
    };
    const context = templateContext(task, node);
    const spec = expandContainerSpec(runtime.value, context);
    checkSpec(task, spec);
    return new ProcessController(this.#parts, task, { ...dependencies, context, spec });
  }

  leftovers(): Promise<readonly string[]> {
    const { directory, files, groups } = this.#parts;
    const ids = [...readdirSync(directory), ...files.taskIds(), ...groups.taskIds()];
    return Promise.resolve([...new Set(ids)]);
  }

  async discard(taskId: string): Promise<void> {
    await clearAway(this.#parts, taskId);
  }

  close(): Promise<void> {
    this.#parts.watcher.close();
    return Promise.resolve();
  }
}
