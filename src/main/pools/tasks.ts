/**
 * The main side of the controller threads: spreads a node's tasks over them by id, brings back their
 * statuses, and gives a dead thread's tasks to the next, which adopts what runs.
 *
 * The pool keeps no task. What a fresh thread must know it reads from its owner's `TaskSource`, so
 * the owner stores a change (its task database, its secrets) before it tells the pool of it; then
 * nothing that was told is lost with a thread, and telling it twice does no harm.
 */
import assert from 'node:assert/strict';
import type { Lane } from '../../shared/lanes/lane.ts';
import {
  threadOf,
  type ExecutorChoice,
  type FromTasks,
  type TaskThreadData,
  type ToTasks,
} from '../../shared/lanes/tasks.ts';
import { SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';
import { Config, Secret } from '../../shared/wire/gen/objects.ts';
import { NodeDescription, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import { Engine } from './engine.ts';
import type { ThreadPlace } from './engine-options.ts';
import { workerEntry } from './entry.ts';
import { TaskLogs } from './task-logs.ts';

/** A task of this node: `bytes` is a `docker.swarmkit.v1.Task` that carries its newest status. */
export type StoredTask = { readonly id: string; readonly bytes: Uint8Array };

/** What the node has, as the pool's owner keeps it; read whenever a thread starts. */
export type TaskSource = {
  readonly tasks: () => Iterable<StoredTask>;
  readonly secrets: () => Iterable<Secret>;
  readonly configs: () => Iterable<Config>;
};

export type StatusUpdate = { readonly taskId: string; readonly status: TaskStatus };

export type TaskPoolOptions = {
  readonly nodeId: string;
  readonly hostname: string;
  /** Engine labels of the node. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly executor: ExecutorChoice;
  readonly threads?: number;
  readonly log: Log;
  readonly source: TaskSource;
  /**
   * The newest status of each task that changed. A returned promise holds back further ones. After a
   * thread's death some come again.
   */
  readonly onStatuses: (updates: readonly StatusUpdate[]) => void | Promise<void>;
  /** Nothing of these tasks is left on the machine. */
  readonly onRemoved: (ids: readonly string[]) => void | Promise<void>;
};

/** Tasks in one message to a thread. */
const BATCH = 64;

export class TaskPool implements AsyncDisposable {
  readonly #options: TaskPoolOptions;
  readonly #engine: Engine<ToTasks, FromTasks>;
  readonly #threads: number;
  /** By thread: what waits while it is told all it must know; undefined when it knows everything. */
  readonly #waiting: (ToTasks[] | undefined)[];
  /** Removals that no thread has confirmed yet. */
  readonly #removing = new Set<string>();
  readonly #logs = new Map<number, TaskLogs>();
  #nextSubscription = 1;
  #describing: PromiseWithResolvers<NodeDescription> | undefined;

  constructor(options: TaskPoolOptions) {
    const threads = options.threads ?? 1;
    const data: TaskThreadData = {
      nodeId: options.nodeId,
      hostname: options.hostname,
      labels: Object.entries(options.labels ?? {}),
      executor: options.executor,
      threads,
    };
    this.#options = options;
    this.#threads = threads;
    // Until a thread is fed there is nobody to tell.
    this.#waiting = Array.from({ length: threads }, () => []);
    this.#engine = new Engine({
      name: 'tasks',
      entry: workerEntry('tasks'),
      threads,
      log: options.log,
      data,
      onStart: (lane, place) => void this.#feed(lane, place),
      onMessages: (messages, _lane, place) => this.#take(messages, place),
      onEnd: (place) => this.#ended(place),
    });
  }

  async start(): Promise<void> {
    await this.#engine.start();
  }

  /** Ends the threads; tasks go on running. */
  async stop(): Promise<void> {
    for (const logs of this.#logs.values()) logs.close();
    await this.#engine.stop();
    this.#describing?.reject(new Error('the controller threads were stopped'));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** What the executor says of its machine now. Rejects with its words when it cannot say. */
  describe(): Promise<NodeDescription> {
    if (this.#describing === undefined) {
      this.#describing = Promise.withResolvers();
      this.#send(0, { t: 'describe' });
    }
    return this.#describing.promise;
  }

  /** Tasks that are new, or assigned anew; stored already. Resolves when more may come. */
  async assign(tasks: readonly StoredTask[]): Promise<void> {
    for (const [index, list] of this.#byThread(tasks, (task) => task.id)) {
      for (let at = 0; at < list.length; at += BATCH) {
        const bytes = list.slice(at, at + BATCH).map((task) => task.bytes);
        this.#send(index, { t: 'assign', tasks: bytes });
        await this.#engine.lane(index)?.ready();
      }
    }
  }

  /** Tasks that are no longer this node's; deleted already. `onRemoved` follows. */
  remove(ids: readonly string[]): void {
    for (const id of ids) this.#removing.add(id);
    for (const [index, list] of this.#byThread(ids, (id) => id)) {
      this.#send(index, { t: 'remove', ids: list });
    }
  }

  /** Secrets that came and went; stored already. Before the tasks that need them. */
  changeSecrets(put: readonly Secret[], drop: readonly string[]): void {
    const bytes = put.map((secret) => Secret.encode(secret));
    this.#sendAll({ t: 'secrets', put: bytes, drop });
  }

  changeConfigs(put: readonly Config[], drop: readonly string[]): void {
    const bytes = put.map((config) => Config.encode(config));
    this.#sendAll({ t: 'configs', put: bytes, drop });
  }

  /** All secrets and configs were replaced: the threads get the source's. */
  replaceDependencies(): void {
    this.#sendAll({ t: 'forgetDependencies' });
    this.changeSecrets([...this.#options.source.secrets()], []);
    this.changeConfigs([...this.#options.source.configs()], []);
  }

  /** Logs of the tasks that a subscription selects: iterate it, and `close` it to end early. */
  logs(message: SubscriptionMessage): TaskLogs {
    const subscription = this.#nextSubscription++;
    const logs = new TaskLogs({
      message,
      threads: this.#threads,
      credit: (index, bytes) => this.#send(index, { t: 'logCredit', subscription, bytes }),
      over: () => {
        this.#logs.delete(subscription);
        this.#sendAll({ t: 'logsClose', subscription });
      },
    });
    this.#logs.set(subscription, logs);
    this.#sendAll({ t: 'logs', subscription, message: SubscriptionMessage.encode(message) });
    return logs;
  }

  /** Terminates a thread as a crash would: for tests. */
  async kill(index: number): Promise<void> {
    await this.#engine.kill(index);
  }

  #byThread<T>(items: readonly T[], idOf: (item: T) => string): Map<number, T[]> {
    return Map.groupBy(items, (item) => threadOf(idOf(item), this.#threads));
  }

  #sendAll(message: ToTasks): void {
    for (let index = 0; index < this.#threads; index += 1) this.#send(index, message);
  }

  #send(index: number, message: ToTasks): void {
    const waiting = this.#waiting[index];
    if (waiting === undefined) this.#engine.lane(index)?.send(message);
    else waiting.push(message);
  }

  /** Tells a fresh thread all it must know, and then what has come up meanwhile. */
  async #feed(lane: Lane<ToTasks, FromTasks>, place: ThreadPlace): Promise<void> {
    const { source } = this.#options;
    const { index } = place;
    // What came up before now is in the source, but for what a first thread was asked.
    const waiting = place.generation === 1 ? (this.#waiting[index] ?? []) : [];
    this.#waiting[index] = waiting;
    lane.send({ t: 'secrets', put: [...source.secrets()].map((s) => Secret.encode(s)), drop: [] });
    lane.send({ t: 'configs', put: [...source.configs()].map((c) => Config.encode(c)), drop: [] });
    await this.#feedTasks(lane, index);
    if (lane.dropped) return;
    const removing = [...this.#removing].filter((id) => threadOf(id, this.#threads) === index);
    lane.send({ t: 'remove', ids: removing });
    lane.send({ t: 'settle' });
    if (place.generation > 1) this.#resume(lane, index);
    for (const message of waiting) lane.send(message);
    if (this.#waiting[index] === waiting) this.#waiting[index] = undefined;
  }

  async #feedTasks(lane: Lane<ToTasks, FromTasks>, index: number): Promise<void> {
    let batch: Uint8Array[] = [];
    for (const task of this.#options.source.tasks()) {
      if (threadOf(task.id, this.#threads) !== index) continue;
      batch.push(task.bytes);
      if (batch.length < BATCH) continue;
      lane.send({ t: 'assign', tasks: batch });
      batch = [];
      if (lane.full) await lane.ready();
      if (lane.dropped) return;
    }
    if (batch.length > 0) lane.send({ t: 'assign', tasks: batch });
  }

  /** Asks a dead thread's successor for what the dead one still owed. */
  #resume(lane: Lane<ToTasks, FromTasks>, index: number): void {
    if (this.#describing !== undefined && index === 0) lane.send({ t: 'describe' });
    for (const [subscription, logs] of this.#logs) {
      const message = logs.resumed(index);
      if (message === undefined) continue;
      lane.send({ t: 'logs', subscription, message: SubscriptionMessage.encode(message) });
    }
  }

  #ended(place: ThreadPlace): void {
    this.#waiting[place.index] = [];
    for (const logs of this.#logs.values()) logs.threadLost(place.index);
  }

  async #take(messages: readonly FromTasks[], place: ThreadPlace): Promise<void> {
    for (const message of messages) await this.#takeOne(message, place.index);
  }

  async #takeOne(message: FromTasks, index: number): Promise<void> {
    const { log, onStatuses, onRemoved } = this.#options;
    switch (message.t) {
      case 'statuses':
        await onStatuses(updatesOf(message.ids, message.statuses));
        break;
      case 'removed':
        for (const id of message.ids) this.#removing.delete(id);
        await onRemoved(message.ids);
        break;
      case 'described':
        if (index === 0) this.#described(message.description, message.error);
        break;
      case 'logRecords':
        this.#logs.get(message.subscription)?.take(index, message.records);
        break;
      case 'logsEnd':
        this.#logs.get(message.subscription)?.threadEnded(index, message.errors);
        break;
      case 'said':
        log[message.level](Object.fromEntries(message.fields), message.text);
        break;
    }
  }

  #described(description: Uint8Array, error: string): void {
    const waiting = this.#describing;
    this.#describing = undefined;
    if (error === '') waiting?.resolve(NodeDescription.decode(description));
    else waiting?.reject(new Error(error));
  }
}

function updatesOf(ids: readonly string[], statuses: readonly Uint8Array[]): StatusUpdate[] {
  return ids.map((taskId, at) => {
    const bytes = statuses[at];
    assert(bytes !== undefined, 'every id comes with a status');
    return { taskId, status: TaskStatus.decode(bytes) };
  });
}
