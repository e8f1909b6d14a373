/**
 * One task as a container. The container's name is the task's, so that whatever was done before a
 * crash is found again; its labels say whether it is really this task's.
 */
import { join } from 'node:path';
import type Docker from 'dockerode';
import { taskName } from '../../../../shared/model/names.ts';
import type { PayloadSources } from '../../../../shared/model/templates.ts';
import { durationMs } from '../../../../shared/model/time.ts';
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import type { ContainerSpec } from '../../../../shared/wire/gen/specs.ts';
import type { ContainerStatus, PortStatus } from '../../../../shared/wire/gen/types.ts';
import type { Cancellation } from '../cancellation.ts';
import { CancelledError, ExitError, FatalError } from '../errors.ts';
import type { Controller, ExecutorLog, LogOptions, LogRecord } from '../executor.ts';
import { filesOf, type TaskFile, type TaskFiles } from '../task-files.ts';
import { call, callOptional, EngineError, ignoring } from './calls.ts';
import type { EngineEvents } from './events.ts';
import { imageReference, type EngineImages } from './images.ts';
import { containerLogs } from './logs.ts';
import type { EngineNetworks } from './networks.ts';
import { containerSettings, GRACE_MS, portsOf, TASK_ID_LABEL } from './settings.ts';
import { tar } from './tar.ts';

/** What all containers of one engine share. */
export type DockerParts = {
  readonly docker: Docker;
  readonly events: EngineEvents;
  readonly images: EngineImages;
  readonly networks: EngineNetworks;
  readonly files: TaskFiles;
  readonly log: ExecutorLog;
};

type Inspected = Docker.ContainerInspectInfo;

/** The engine's word for a time that never was. */
const NEVER = '0001-01-01T00:00:00Z';

export class DockerController implements Controller {
  readonly #parts: DockerParts;
  readonly #spec: ContainerSpec;
  readonly #sources: PayloadSources;
  readonly #name: string;
  #task: Task;
  #inspecting: Promise<Inspected | undefined> | undefined;

  /** @param sources the expanded spec, and what its secrets and configs are made from */
  constructor(parts: DockerParts, task: Task, sources: PayloadSources) {
    this.#parts = parts;
    this.#task = task;
    this.#spec = sources.spec;
    this.#sources = sources;
    this.#name = taskName(task);
  }

  update(task: Task): Promise<void> {
    this.#task = task;
    return Promise.resolve();
  }

  async prepare(cancellation: Cancellation): Promise<void> {
    if ((await this.#own(cancellation)) !== undefined) return;
    const { images, networks } = this.#parts;
    const files = filesOf(this.#spec, this.#sources);
    const pullFailure = await images.ensure(this.#spec, cancellation);
    await networks.ensure(this.#task, cancellation);
    try {
      await this.#create(files, cancellation);
    } catch (error) {
      if (error instanceof EngineError && error.statusCode === 409) {
        if ((await this.#own(cancellation)) !== undefined) return;
      }
      if (pullFailure === undefined || !isMissingImage(error)) throw error;
      const text = error instanceof Error ? error.message : String(error);
      throw new FatalError(`${text} (pulling it failed: ${pullFailure})`, { cause: error });
    }
  }

  async start(cancellation: Cancellation): Promise<void> {
    const found = await this.#existing(cancellation);
    if (found.State.StartedAt === NEVER) {
      // A restart of the machine empties the memory file system, and a neighbour may have taken the
      // last task off a bridge.
      this.#writeFiles(filesOf(this.#spec, this.#sources));
      await this.#parts.networks.ensure(this.#task, cancellation);
      const container = this.#container();
      const abortSignal = cancellation.signal;
      await ignoring(
        [304],
        call(() => container.start({ abortSignal }), cancellation),
      );
    }
    await this.#until((state) => {
      if (!state.Running) return true;
      const health = state.Health?.Status ?? 'none';
      return health === 'none' || health === 'healthy' || health === 'unhealthy';
    }, cancellation);
    await this.#failIfUnhealthy(cancellation);
  }

  async wait(cancellation: Cancellation): Promise<void> {
    const state = await this.#until(
      ({ Running, Health }) => !Running || Health?.Status === 'unhealthy',
      cancellation,
    );
    await this.#failIfUnhealthy(cancellation);
    if (state.ExitCode !== 0) {
      throw new ExitError(state.ExitCode, state.OOMKilled ? 'out of memory' : state.Error);
    }
  }

  async shutdown(cancellation: Cancellation): Promise<void> {
    await this.#stop(cancellation);
  }

  async terminate(): Promise<void> {
    const container = this.#container();
    await ignoring(
      [404, 409],
      call(() => container.kill()),
    );
  }

  async remove(): Promise<void> {
    const { networks, files } = this.#parts;
    const found = await this.#own();
    if (found !== undefined) {
      await this.#stop();
      const container = this.#container();
      await ignoring(
        [404],
        call(() => container.remove({ v: true, force: true })),
      );
    }
    files.wipe(this.#task.id);
    await networks.release(this.#task);
  }

  close(): void {
    // Holds nothing of its own.
  }

  async *logs(options: LogOptions, signal: AbortSignal): AsyncGenerator<LogRecord> {
    if (this.#spec.tty) throw new FatalError('logs not supported on services with TTY');
    if (options.follow && !(await this.#hasStarted(signal))) return;
    const found = await this.#own();
    if (found === undefined) return;
    yield* containerLogs(this.#parts.docker, found.Id, options, signal);
  }

  async containerStatus(): Promise<ContainerStatus | undefined> {
    const found = await this.#inspectShared();
    if (found === undefined) return undefined;
    const { Pid: pid, ExitCode: exitCode } = found.State;
    return { containerId: found.Id, pid, exitCode };
  }

  async portStatus(): Promise<PortStatus | undefined> {
    const found = await this.#inspectShared();
    const ports = found === undefined ? [] : portsOf(found.NetworkSettings.Ports ?? {}, this.#task);
    return ports.length === 0 ? undefined : { ports };
  }

  #container(): Docker.Container {
    return this.#parts.docker.getContainer(this.#name);
  }

  /** The container of that name, if it is this task's. */
  async #own(cancellation?: Cancellation): Promise<Inspected | undefined> {
    const container = this.#container();
    const found = await callOptional(async () => container.inspect(), cancellation);
    return found?.Config.Labels[TASK_ID_LABEL] === this.#task.id ? found : undefined;
  }

  async #existing(cancellation: Cancellation): Promise<Inspected> {
    const found = await this.#own(cancellation);
    if (found === undefined) throw new FatalError('dockerexec: container destroyed');
    return found;
  }

  /** One look for all who ask in the same moment. */
  #inspectShared(): Promise<Inspected | undefined> {
    this.#inspecting ??= this.#own().finally(() => {
      this.#inspecting = undefined;
    });
    return this.#inspecting;
  }

  async #create(files: readonly TaskFile[], cancellation: Cancellation): Promise<void> {
    const { docker, files: store, networks, log } = this.#parts;
    const mounts = this.#writeFiles(files);
    const settings = (withFiles: boolean): Docker.ContainerCreateOptions => ({
      ...containerSettings(this.#task, this.#spec, withFiles ? mounts : []),
      Image: imageReference(this.#spec.image),
    });
    let id: string;
    try {
      ({ id } = await call(() => docker.createContainer(settings(true)), cancellation));
    } catch (error) {
      const unseen = error instanceof Error && error.message.includes(store.directory);
      if (!unseen) throw error;
      // The engine has another view of the file system than this worker.
      log.warn(
        { taskId: this.#task.id },
        'the engine cannot see this worker’s files: copying them in',
      );
      const container = await call(() => docker.createContainer(settings(false)), cancellation);
      await call(() => container.putArchive(archiveOf(files), { path: '/' }), cancellation);
      id = container.id;
    }
    await networks.connect(this.#task, id, cancellation);
  }

  #writeFiles(files: readonly TaskFile[]): { source: string; target: string }[] {
    const paths = this.#parts.files.write(this.#task.id, files, (_, index) => String(index));
    return files.map((file, index) => ({ source: paths[index] ?? '', target: targetOf(file) }));
  }

  /** Waits until the container's state is as asked. */
  async #until(
    holds: (state: Inspected['State']) => boolean,
    cancellation: Cancellation,
  ): Promise<Inspected['State']> {
    for (;;) {
      const watch = await this.#parts.events.watch(this.#name);
      try {
        const { State } = await this.#existing(cancellation);
        if (holds(State)) return State;
        const cancelled = new Promise<never>((_, reject) => {
          cancellation.onCancel(() => reject(new CancelledError()));
        });
        await Promise.race([watch.changed, cancelled]);
      } finally {
        watch.stop();
      }
    }
  }

  async #failIfUnhealthy(cancellation: Cancellation): Promise<void> {
    const { State } = await this.#existing(cancellation);
    if (!State.Running || State.Health?.Status !== 'unhealthy') return;
    await this.#stop(cancellation);
    throw new FatalError('dockerexec: unhealthy container');
  }

  async #stop(cancellation?: Cancellation): Promise<void> {
    if ((await this.#own(cancellation))?.State.Running !== true) return;
    const graceMs = durationMs(this.#spec.stopGracePeriod, GRACE_MS);
    const container = this.#container();
    const options = {
      t: Math.ceil(graceMs / 1000),
      ...(cancellation && { abortSignal: cancellation.signal }),
    };
    await ignoring(
      [304, 404],
      call(() => container.stop(options), cancellation),
    );
  }

  /** Waits for the task's start; false when the wait was aborted. */
  async #hasStarted(signal: AbortSignal): Promise<boolean> {
    const aborted = new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    while (!signal.aborted) {
      const watch = await this.#parts.events.watch(this.#name);
      try {
        const found = await this.#own();
        if (found !== undefined && found.State.StartedAt !== NEVER) return true;
        await Promise.race([watch.changed, aborted]);
      } finally {
        watch.stop();
      }
    }
    return false;
  }
}

function isMissingImage(error: unknown): boolean {
  return error instanceof EngineError && error.statusCode === 404;
}

/** Where a file stands in the container. */
function targetOf(file: TaskFile): string {
  if (file.target.startsWith('/')) return file.target;
  return file.kind === 'secret' ? join('/run/secrets', file.target) : join('/', file.target);
}

function archiveOf(files: readonly TaskFile[]): Buffer {
  return tar(
    files.map((file) => ({
      kind: 'file',
      path: targetOf(file).slice(1),
      mode: file.mode,
      uid: file.uid,
      gid: file.gid,
      data: file.data,
    })),
  );
}
