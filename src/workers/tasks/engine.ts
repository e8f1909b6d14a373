/**
 * Many task controllers on one thread: takes assignments, keeps a runner for each task, and sends
 * statuses in batches, the newest of each task (SPEC.md, rules ENG1 to ENG8).
 */
import type { Sender } from '../../shared/lanes/lane.ts';
import { threadOf, type FromTasks, type ToTasks } from '../../shared/lanes/tasks.ts';
import { Config, Secret, Task } from '../../shared/wire/gen/objects.ts';
import { NodeDescription, TaskStatus } from '../../shared/wire/gen/types.ts';
import { unresolved } from './core/decide.ts';
import { DependencyStore } from './core/dependencies.ts';
import { taskDigest } from './core/digest.ts';
import { TaskMachine } from './core/task-machine.ts';
import type { Controller, Executor, ExecutorLog } from './executors/executor.ts';
import type { Clock } from './executors/simulated/executor.ts';
import { LogSubscriptions } from './logs.ts';
import { TaskRunner, type RunnerHost } from './runner.ts';

/** Statuses in one message. */
const BATCH = 256;
/** When the machine could not be looked over for leftovers, it is tried again after this time. */
const SETTLE_AGAIN_MS = 10_000;

export type TasksEngineOptions = {
  readonly nodeId: string;
  readonly executor: Executor;
  readonly clock: Clock;
  readonly log: ExecutorLog;
  readonly lane: Sender<FromTasks>;
  /** Which of the node's threads this is, of how many. */
  readonly index: number;
  readonly threads: number;
};

export class TasksEngine {
  readonly #options: TasksEngineOptions;
  readonly #host: RunnerHost;
  readonly #dependencies = new DependencyStore();
  readonly #runners = new Map<string, TaskRunner>();
  /** Tasks for which there can be no controller, until they are assigned anew. */
  readonly #unresolved = new Set<string>();
  readonly #logs: LogSubscriptions;
  readonly #statuses = new Map<string, TaskStatus>();
  #removed: string[] = [];
  #sending: Promise<void> | undefined;

  constructor(options: TasksEngineOptions) {
    this.#options = options;
    this.#host = {
      clock: options.clock,
      log: options.log,
      report: (taskId, status) => {
        this.#statuses.set(taskId, status);
        this.#wakeSender();
      },
      forget: (taskId) => this.#forget(taskId),
    };
    this.#logs = new LogSubscriptions(options.nodeId, (message) => void options.lane.send(message));
  }

  /** How many tasks have a controller. */
  get size(): number {
    return this.#runners.size;
  }

  /** Asks the executor what this machine is, and says it: before the first message is handled. */
  async open(): Promise<void> {
    await this.#describe();
  }

  handle(messages: readonly ToTasks[]): void {
    for (const message of messages) this.#take(message);
  }

  /** Lets go of everything; tasks go on running. */
  async close(): Promise<void> {
    this.#logs.closeAll();
    for (const runner of this.#runners.values()) runner.close();
    await this.#sending;
    await this.#options.executor.close();
  }

  #take(message: ToTasks): void {
    switch (message.t) {
      case 'assign':
        for (const bytes of message.tasks) this.#assign(Task.decode(bytes));
        break;
      case 'remove':
        for (const id of message.ids) this.#remove(id);
        break;
      case 'secrets':
        for (const id of message.drop) this.#dependencies.dropSecret(id);
        for (const bytes of message.put) this.#dependencies.putSecret(Secret.decode(bytes));
        break;
      case 'configs':
        for (const id of message.drop) this.#dependencies.dropConfig(id);
        for (const bytes of message.put) this.#dependencies.putConfig(Config.decode(bytes));
        break;
      case 'forgetDependencies':
        this.#dependencies.clear();
        break;
      case 'settle':
        void this.#settle();
        break;
      case 'describe':
        void this.#describe();
        break;
      case 'logs':
        this.#logs.open(message.subscription, message.message, this.#runners.values());
        break;
      case 'logCredit':
        this.#logs.credit(message.subscription, message.bytes);
        break;
      case 'logsClose':
        this.#logs.close(message.subscription);
        break;
    }
  }

  #assign(task: Task): void {
    const runner = this.#runners.get(task.id);
    if (runner === undefined) {
      this.#adopt(task);
      return;
    }
    const digest = taskDigest(task);
    if (runner.accepts(digest, task.desiredState)) runner.assign(task, digest);
  }

  /** A runner for a task that has none: a new one, or one that a dead thread left. */
  #adopt(task: Task): void {
    const controller = this.#resolve(task);
    if (controller === undefined) return;
    const machine = new TaskMachine({
      status: task.status,
      desired: task.desiredState,
      digest: taskDigest(task),
    });
    const runner = new TaskRunner(this.#host, task, controller, machine);
    this.#runners.set(task.id, runner);
    runner.begin();
    this.#logs.taskAdded(runner);
  }

  #resolve(task: Task): Controller | undefined {
    try {
      const controller = this.#options.executor.controller(task, this.#dependencies.viewFor(task));
      this.#unresolved.delete(task.id);
      return controller;
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      const status = unresolved(task.status, text, this.#options.clock.nowMs());
      this.#unresolved.add(task.id);
      if (status !== task.status) this.#host.report(task.id, status);
      return undefined;
    }
  }

  #remove(taskId: string): void {
    const runner = this.#runners.get(taskId);
    if (runner === undefined) void this.#discard(taskId).then(() => this.#forget(taskId));
    else runner.remove();
  }

  #forget(taskId: string): void {
    this.#runners.delete(taskId);
    this.#unresolved.delete(taskId);
    this.#statuses.delete(taskId);
    this.#removed.push(taskId);
    this.#wakeSender();
  }

  /** Removes what the machine holds of tasks that this thread should know and does not. */
  async #settle(): Promise<void> {
    const { executor, index, threads, log, clock } = this.#options;
    try {
      const leftovers = await executor.leftovers();
      const strangers = leftovers.filter(
        (id) =>
          threadOf(id, threads) === index && !this.#runners.has(id) && !this.#unresolved.has(id),
      );
      await Promise.all(strangers.map((id) => this.#discard(id)));
    } catch (error) {
      log.warn({ error: String(error) }, 'leftovers of unknown tasks could not be listed');
      clock.agenda.at(clock.nowMs() + SETTLE_AGAIN_MS, () => void this.#settle());
    }
  }

  async #discard(taskId: string): Promise<void> {
    try {
      await this.#options.executor.discard(taskId);
    } catch (error) {
      const fields = { taskId, error: String(error) };
      this.#options.log.warn(fields, 'what is left of an unknown task could not be removed');
    }
  }

  async #describe(): Promise<void> {
    const { executor, lane } = this.#options;
    let description: Uint8Array = new Uint8Array(0);
    let failure = '';
    try {
      description = NodeDescription.encode(await executor.describe());
    } catch (error) {
      failure = error instanceof Error ? error.message : String(error);
    }
    lane.send({ t: 'described', description, error: failure });
  }

  #wakeSender(): void {
    this.#sending ??= this.#sendAll();
  }

  /** Sends what has gathered in this turn, and, while the lane is full, what gathers meanwhile. */
  async #sendAll(): Promise<void> {
    await Promise.resolve();
    const { lane } = this.#options;
    while (this.#statuses.size > 0 || this.#removed.length > 0) {
      if (lane.full) await lane.ready();
      this.#sendBatch();
    }
    this.#sending = undefined;
  }

  #sendBatch(): void {
    const { lane } = this.#options;
    const ids: string[] = [];
    const statuses: Uint8Array[] = [];
    for (const [id, status] of this.#statuses) {
      if (ids.length === BATCH) break;
      ids.push(id);
      statuses.push(TaskStatus.encode(status));
      this.#statuses.delete(id);
    }
    if (ids.length > 0) lane.send({ t: 'statuses', ids, statuses });
    const removed = this.#removed;
    this.#removed = [];
    if (removed.length > 0) lane.send({ t: 'removed', ids: removed });
  }
}
