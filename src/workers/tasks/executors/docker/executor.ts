/** Tasks as containers of a Docker Engine on this machine. */
import { hostname, machine } from 'node:os';
import Docker from 'dockerode';
import { RUNTIME_PLUGIN } from '../../../../shared/lanes/placement.ts';
import {
  expandContainerSpec,
  templateContext,
  type TemplateNode,
} from '../../../../shared/model/templates.ts';
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import { NodeDescription } from '../../../../shared/wire/gen/types.ts';
import type { Dependencies } from '../../core/dependencies.ts';
import { FatalError } from '../errors.ts';
import type { Controller, Executor, ExecutorLog, ExecutorNode } from '../executor.ts';
import { TaskFiles } from '../task-files.ts';
import { call, ignoring } from './calls.ts';
import { DockerController, type DockerParts } from './controller.ts';
import { EngineEvents } from './events.ts';
import { EngineImages } from './images.ts';
import { EngineNetworks } from './networks.ts';
import { NODE_ID_LABEL, TASK_ID_LABEL } from './settings.ts';

export type DockerOptions = {
  readonly socketPath: string | undefined;
  readonly pull: 'missing' | 'always';
  readonly labels: Readonly<Record<string, string>>;
  /** Where secrets are kept; undefined for the first memory file system. */
  readonly filesBase?: string;
};

const SOCKET_DEFAULT = '/var/run/docker.sock';

export function dockerExecutor(
  node: ExecutorNode,
  options: DockerOptions,
  log: ExecutorLog,
): Executor {
  const docker = new Docker({ socketPath: options.socketPath ?? SOCKET_DEFAULT });
  const files = new TaskFiles(node.nodeId, options.filesBase);
  if (!files.inMemory) {
    log.warn({ directory: files.directory }, 'no memory file system: secrets are kept on disk');
  }
  const parts: DockerParts = {
    docker,
    events: new EngineEvents(docker, node.nodeId),
    images: new EngineImages(docker, options.pull, log),
    networks: new EngineNetworks(docker, log),
    files,
    log,
  };
  return new DockerExecutor(node, options, parts);
}

class DockerExecutor implements Executor {
  readonly runtime = 'docker';
  readonly #node: ExecutorNode;
  readonly #options: DockerOptions;
  readonly #parts: DockerParts;
  #templateNode: TemplateNode;

  constructor(node: ExecutorNode, options: DockerOptions, parts: DockerParts) {
    this.#node = node;
    this.#options = options;
    this.#parts = parts;
    this.#templateNode = {
      hostname: node.hostname || hostname(),
      platform: { architecture: machine(), os: 'linux' },
    };
  }

  async describe(): Promise<NodeDescription> {
    const info: EngineInfo = await call(() => this.#parts.docker.info());
    const platform = { architecture: info.Architecture, os: info.OSType };
    const description = NodeDescription.create({
      hostname: this.#node.hostname || info.Name,
      platform,
      resources: { nanoCpus: info.NCPU * 1e9, memoryBytes: info.MemTotal },
      engine: {
        engineVersion: info.ServerVersion,
        labels: { ...engineLabels(info.Labels), ...this.#options.labels },
        plugins: plugins(info),
      },
    });
    this.#templateNode = { hostname: description.hostname, platform };
    return description;
  }

  controller(task: Task, dependencies: Dependencies): Controller {
    const { runtime } = task.spec;
    if (runtime?.case !== 'container') throw new FatalError('exec: unsupported runtime');
    if (runtime.value.image === '') throw new FatalError('dockerexec: image required');
    const context = templateContext(task, this.#templateNode);
    const spec = expandContainerSpec(runtime.value, context);
    return new DockerController(this.#parts, task, { ...dependencies, context, spec });
  }

  async leftovers(): Promise<readonly string[]> {
    const containers = await this.#containers();
    const ids = containers.map((container) => container.Labels[TASK_ID_LABEL] ?? '');
    return [...new Set([...ids, ...this.#parts.files.taskIds()])].filter((id) => id !== '');
  }

  async discard(taskId: string): Promise<void> {
    for (const { Id } of await this.#containers(taskId)) {
      const container = this.#parts.docker.getContainer(Id);
      await ignoring(
        [404],
        call(() => container.remove({ v: true, force: true })),
      );
    }
    this.#parts.files.wipe(taskId);
  }

  close(): Promise<void> {
    this.#parts.events.close();
    return Promise.resolve();
  }

  /** This node's containers, of one task or of all. */
  #containers(taskId?: string): Promise<Docker.ContainerInfo[]> {
    const label = [`${NODE_ID_LABEL}=${this.#node.nodeId}`, TASK_ID_LABEL];
    if (taskId !== undefined) label.push(`${TASK_ID_LABEL}=${taskId}`);
    return call(() => this.#parts.docker.listContainers({ all: true, filters: { label } }));
  }
}

/** The part of the engine's own description that is used. */
type EngineInfo = {
  readonly Name: string;
  readonly Architecture: string;
  readonly OSType: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly ServerVersion: string;
  readonly Labels: readonly string[] | null;
  readonly Plugins: Readonly<Record<string, readonly string[] | null>>;
};

function engineLabels(labels: readonly string[] | null): Record<string, string> {
  const pairs = (labels ?? []).map((label): [string, string] => {
    const [key = '', ...value] = label.split('=');
    return [key, value.join('=')];
  });
  return Object.fromEntries(pairs);
}

function plugins(info: EngineInfo): { type: string; name: string }[] {
  const found = Object.entries(info.Plugins).flatMap(([type, names]) =>
    (names ?? []).map((name) => ({ type, name })),
  );
  const overlay = { type: 'Network', name: 'overlay' };
  const hasOverlay = found.some((p) => p.type === overlay.type && p.name === overlay.name);
  return [...found, ...(hasOverlay ? [] : [overlay]), { type: RUNTIME_PLUGIN, name: 'docker' }];
}
