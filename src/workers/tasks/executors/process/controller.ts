/**
 * One task as a child process. What it is and what became of it stands in its directory, so that
 * after a crash of the worker the next one takes it over, and starts nothing twice.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { PayloadSources } from '../../../../shared/model/templates.ts';
import { durationMs } from '../../../../shared/model/time.ts';
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import type { ContainerSpec } from '../../../../shared/wire/gen/specs.ts';
import type { ContainerStatus, PortStatus } from '../../../../shared/wire/gen/types.ts';
import type { Cancellation } from '../cancellation.ts';
import { CancelledError, ExitError, FatalError, TemporaryError } from '../errors.ts';
import type { Controller, ExecutorLog, ExecutorNode, LogOptions, LogRecord } from '../executor.ts';
import { filesOf, type TaskFile, type TaskFiles } from '../task-files.ts';
import type { ControlGroups, Limits } from './control-groups.ts';
import { identify, processesWith, stateOf, type ProcessIdentity } from './identity.ts';
import { Journal } from './journal.ts';
import { launch, taskMark } from './launch.ts';
import { Output } from './output.ts';
import { readRecord, writeRecord } from './record.ts';
import { signal, stopSignal } from './signals.ts';
import { resolveUser } from './users.ts';
import type { Ending, ProcessWatcher } from './watcher.ts';

/** What all processes of one executor share. */
export type ProcessParts = {
  readonly node: ExecutorNode;
  /** Holds a directory for each task. */
  readonly directory: string;
  readonly groups: ControlGroups;
  readonly files: TaskFiles;
  readonly watcher: ProcessWatcher;
  readonly log: ExecutorLog;
};

const GRACE_MS = 10_000;
/** How often and how long what is left of a task is killed until it is gone. */
const KILL_TRIES = 50;
const KILL_PAUSE_MS = 20;

/** A process that was started, and its end. */
type Live = { readonly pid: number; readonly ended: Promise<Ending> };

export class ProcessController implements Controller {
  readonly #parts: ProcessParts;
  readonly #task: Task;
  readonly #spec: ContainerSpec;
  readonly #sources: PayloadSources;
  readonly #directory: string;
  readonly #journal: Journal;
  readonly #output: Output;
  #child: ChildProcess | undefined;
  #live: Live | undefined;

  constructor(parts: ProcessParts, task: Task, sources: PayloadSources) {
    this.#parts = parts;
    this.#task = task;
    this.#spec = sources.spec;
    this.#sources = sources;
    this.#directory = join(parts.directory, task.id);
    this.#journal = new Journal(this.#directory);
    this.#output = new Output(this.#directory, this.#journal);
  }

  update(): Promise<void> {
    return Promise.resolve();
  }

  async prepare(): Promise<void> {
    if (readRecord(this.#directory) !== undefined) return;
    const { groups, log } = this.#parts;
    resolveUser(this.#spec.user);
    const files = filesOf(this.#spec, this.#sources);
    mkdirSync(this.#directory, { recursive: true, mode: 0o711 });
    this.#writeFiles(files);
    const missing = groups.missing(this.#limits());
    if (missing.length > 0) {
      log.warn({ taskId: this.#task.id, missing }, 'this machine cannot enforce the task’s limits');
    }
    writeRecord(this.#directory, { state: 'prepared' });
  }

  async start(): Promise<void> {
    const record = readRecord(this.#directory);
    if (record === undefined) throw new FatalError('process: the task was not prepared');
    if (record.state === 'ended' || this.#adopt() !== undefined) return;
    if (record.state === 'started') return;
    await this.#launch();
  }

  async wait(cancellation: Cancellation): Promise<void> {
    const live = this.#adopt();
    if (live !== undefined) await cancellable(live.ended, cancellation);
    const record = readRecord(this.#directory);
    const exitCode = record?.state === 'ended' ? record.exitCode : undefined;
    if (exitCode === undefined) {
      throw new FatalError('process: exit status lost: the task ended while no worker watched it');
    }
    const reason = this.#parts.groups.ranOutOfMemory(this.#task.id) ? 'out of memory' : '';
    if (exitCode !== 0) throw new ExitError(exitCode, reason);
  }

  async shutdown(cancellation: Cancellation): Promise<void> {
    await this.#stop(cancellation);
  }

  async terminate(): Promise<void> {
    const live = this.#adopt();
    if (live === undefined) return;
    signal(-live.pid, 'SIGKILL');
    await live.ended;
  }

  async remove(): Promise<void> {
    await this.#stop();
    await clearAway(this.#parts, this.#task.id);
    this.#output.stop();
    this.#journal.finish();
  }

  close(): void {
    this.#output.stop();
    this.#journal.finish();
    this.#child?.unref();
  }

  logs(options: LogOptions, aborted: AbortSignal): AsyncIterable<LogRecord> {
    if (this.#adopt() !== undefined) this.#output.takeNow();
    return this.#journal.read(options, aborted);
  }

  containerStatus(): Promise<ContainerStatus | undefined> {
    const record = readRecord(this.#directory);
    const containerId = this.#task.id;
    if (record?.state === 'started') {
      return Promise.resolve({ containerId, pid: record.identity.pid, exitCode: 0 });
    }
    if (record?.state !== 'ended') return Promise.resolve(undefined);
    return Promise.resolve({ containerId, pid: record.pid, exitCode: record.exitCode ?? 0 });
  }

  /** The process binds its ports itself, on the host. */
  portStatus(): Promise<PortStatus | undefined> {
    const ports = (this.#task.endpoint?.ports ?? [])
      .filter((port) => port.publishMode === 1)
      .map((port) => ({ ...port, publishedPort: port.targetPort }));
    return Promise.resolve(ports.length === 0 ? undefined : { ports });
  }

  /**
   * The process if there is one: ours, or one that an earlier worker left. Notes the end of one that
   * nobody saw end.
   */
  #adopt(): Live | undefined {
    if (this.#live !== undefined) return this.#live;
    const identity = this.#known();
    if (identity === undefined) {
      // Of one that has ended the last output may still lie there.
      if (readRecord(this.#directory)?.state === 'ended') this.#output.finish();
      return undefined;
    }
    const ended = this.#parts.watcher
      .ended(identity)
      .then((ending) => this.#ended(ending, identity.pid));
    this.#live = { pid: identity.pid, ended };
    this.#output.collect();
    return this.#live;
  }

  /** The process that the record means, if it is still there. */
  #known(): ProcessIdentity | undefined {
    const record = readRecord(this.#directory);
    if (record?.state === 'started') {
      const state = stateOf(record.identity);
      if (state?.is === 'running') return record.identity;
      this.#ended({ exitCode: state?.exitCode }, record.identity.pid);
      return undefined;
    }
    if (record?.state !== 'starting') return undefined;
    const [pid] = processesWith(taskMark(this.#task.id));
    const identity = pid === undefined ? undefined : identify(pid);
    if (identity !== undefined) writeRecord(this.#directory, { state: 'started', identity });
    return identity;
  }

  async #launch(): Promise<void> {
    const { node, groups, files } = this.#parts;
    const { id } = this.#task;
    // A restart of the machine empties the memory file system.
    this.#writeFiles(filesOf(this.#spec, this.#sources));
    groups.create(id, this.#limits());
    writeRecord(this.#directory, { state: 'starting' });
    const child = await launch({
      task: this.#task,
      spec: this.#spec,
      user: resolveUser(this.#spec.user),
      hostname: node.hostname,
      directory: this.#directory,
      filesDirectory: files.directoryOf(id),
      output: this.#output,
    });
    const pid = child.pid ?? 0;
    // A child is there until its end has been waited for, which the event loop does later.
    const identity = identify(pid);
    if (identity === undefined) throw new FatalError(`process ${pid} vanished at its start`);
    this.#join(pid);
    writeRecord(this.#directory, { state: 'started', identity });
    const ended = new Promise<Ending>((resolve) => {
      child.once('exit', (code, name) => {
        resolve(
          this.#ended(
            { exitCode: code ?? 128 + (name === null ? 0 : constants.signals[name]) },
            pid,
          ),
        );
      });
    });
    this.#child = child;
    this.#live = { pid, ended };
    this.#output.collect();
  }

  /** Puts the process into the task's group, and then what it had started before it was in. */
  #join(pid: number): void {
    const { groups, log } = this.#parts;
    const { id } = this.#task;
    try {
      groups.add(id, pid);
      const adjustment = this.#spec.oomScoreAdj;
      if (adjustment !== 0) writeFileSync(`/proc/${pid}/oom_score_adj`, String(adjustment));
      for (const member of processesWith(taskMark(id))) groups.add(id, member);
    } catch (error) {
      log.warn({ taskId: id, error: String(error) }, 'a process could not be put in its group');
    }
  }

  /** The process is no more: whatever it left running goes too. */
  #ended(ending: Ending, pid: number): Ending {
    const record = readRecord(this.#directory);
    const known = record?.state === 'ended' ? record.exitCode : undefined;
    const exitCode = ending.exitCode ?? known;
    writeRecord(this.#directory, { state: 'ended', pid, exitCode });
    killAll(this.#parts, this.#task.id);
    this.#output.finish();
    return { exitCode };
  }

  async #stop(cancellation?: Cancellation): Promise<void> {
    const live = this.#adopt();
    if (live === undefined) return;
    signal(-live.pid, stopSignal(this.#spec.stopSignal));
    const graceMs = durationMs(this.#spec.stopGracePeriod, GRACE_MS);
    const timer = setTimeout(() => signal(-live.pid, 'SIGKILL'), graceMs);
    try {
      await (cancellation === undefined ? live.ended : cancellable(live.ended, cancellation));
    } finally {
      clearTimeout(timer);
    }
  }

  #writeFiles(files: readonly TaskFile[]): void {
    const user = resolveUser(this.#spec.user);
    const store = this.#parts.files;
    store.write(this.#task.id, files, ({ kind, target }) =>
      join(kind === 'secret' ? 'secrets' : 'configs', target),
    );
    if (files.length > 0) store.give(this.#task.id, user);
  }

  #limits(): Limits {
    const limits = this.#task.spec.resources?.limits;
    return {
      memoryBytes: limits?.memoryBytes ?? 0,
      nanoCpus: limits?.nanoCpus ?? 0,
      processes: Math.max(0, this.#spec.pidsLimit),
    };
  }
}

/** Kills every process of a task. Returns whether there was one. */
function killAll(parts: ProcessParts, taskId: string): boolean {
  const pids = new Set([...parts.groups.members(taskId), ...processesWith(taskMark(taskId))]);
  for (const pid of pids) signal(pid, 'SIGKILL');
  return pids.size > 0;
}

/** Takes away all that is on this machine of a task: processes, group, secrets, directory. */
export async function clearAway(parts: ProcessParts, taskId: string): Promise<void> {
  for (let tries = 0; killAll(parts, taskId) || !parts.groups.remove(taskId); tries += 1) {
    if (tries === KILL_TRIES) throw new TemporaryError(`processes of task ${taskId} do not end`);
    await sleep(KILL_PAUSE_MS);
  }
  parts.files.wipe(taskId);
  const directory = join(parts.directory, taskId);
  if (existsSync(directory)) rmSync(directory, { recursive: true, force: true });
}

async function cancellable(ended: Promise<Ending>, cancellation: Cancellation): Promise<void> {
  const cancelled = new Promise<never>((_, reject) => {
    cancellation.onCancel(() => reject(new CancelledError()));
  });
  await Promise.race([ended, cancelled]);
}
