/**
 * Log subscriptions of one thread: readers over the logs of the tasks that a subscription selects
 * (behaviour rule 11.7; SPEC.md, rules LGS1 to LGS6).
 *
 * Bounded by credit: a subscription sends no more bytes than main has room for, and its readers wait
 * meanwhile. A slow reader of logs so never stands in the way of statuses on the same lane.
 */
import { LOG_CREDIT_BYTES, type FromTasks } from '../../shared/lanes/tasks.ts';
import { millisOf } from '../../shared/model/time.ts';
import {
  LogMessage,
  LogStream,
  type LogSubscriptionOptions,
  SubscriptionMessage,
} from '../../shared/wire/gen/logbroker.ts';
import { FatalError } from './executors/errors.ts';
import type { Controller, LogOptions } from './executors/executor.ts';
import { logMessage } from './log-message.ts';

/** The part of a task's runner that logs need. */
export type LoggedTask = {
  readonly taskId: string;
  readonly serviceId: string;
  readonly controller: Pick<Controller, 'logs'>;
};

type Send = (message: FromTasks) => void;

export class LogSubscriptions {
  readonly #nodeId: string;
  readonly #send: Send;
  readonly #open = new Map<number, Subscription>();

  constructor(nodeId: string, send: Send) {
    this.#nodeId = nodeId;
    this.#send = send;
  }

  open(id: number, bytes: Uint8Array, tasks: Iterable<LoggedTask>): void {
    if (this.#open.has(id)) return;
    const message = SubscriptionMessage.decode(bytes);
    const subscription = new Subscription({
      id,
      message,
      nodeId: this.#nodeId,
      send: this.#send,
      ended: () => this.#open.delete(id),
    });
    this.#open.set(id, subscription);
    subscription.start(tasks);
  }

  /** A task is new here: those who follow its log want it too. */
  taskAdded(task: LoggedTask): void {
    for (const subscription of this.#open.values()) subscription.taskAdded(task);
  }

  credit(id: number, bytes: number): void {
    this.#open.get(id)?.credit(bytes);
  }

  close(id: number): void {
    this.#open.get(id)?.close();
  }

  closeAll(): void {
    for (const subscription of this.#open.values()) subscription.close();
  }
}

type SubscriptionParts = {
  readonly id: number;
  readonly message: SubscriptionMessage;
  readonly nodeId: string;
  readonly send: Send;
  readonly ended: () => void;
};

class Subscription {
  readonly #parts: SubscriptionParts;
  readonly #abort = new AbortController();
  readonly #errors: string[] = [];
  #creditBytes = LOG_CREDIT_BYTES;
  #waiting: (() => void)[] = [];
  #readers = 0;

  constructor(parts: SubscriptionParts) {
    this.#parts = parts;
  }

  start(tasks: Iterable<LoggedTask>): void {
    for (const task of tasks) if (this.#selects(task)) this.#read(task);
    this.#endIfDone();
  }

  taskAdded(task: LoggedTask): void {
    const follow = this.#parts.message.options?.follow === true;
    if (follow && !this.#abort.signal.aborted && this.#selects(task)) this.#read(task);
  }

  credit(bytes: number): void {
    this.#creditBytes += bytes;
    this.#wake();
  }

  close(): void {
    this.#abort.abort();
    this.#wake();
    this.#endIfDone();
  }

  #selects(task: LoggedTask): boolean {
    const selector = this.#parts.message.selector;
    return (
      selector !== undefined &&
      (selector.taskIds.includes(task.taskId) ||
        selector.serviceIds.includes(task.serviceId) ||
        selector.nodeIds.includes(this.#parts.nodeId))
    );
  }

  #read(task: LoggedTask): void {
    this.#readers += 1;
    this.#pump(task)
      .catch((error: unknown) => {
        if (this.#abort.signal.aborted) return;
        const text = error instanceof Error ? error.message : String(error);
        this.#errors.push(`task ${task.taskId}: ${text}`);
      })
      .finally(() => {
        this.#readers -= 1;
        this.#endIfDone();
      });
  }

  async #pump(task: LoggedTask): Promise<void> {
    const { id, nodeId, send, message } = this.#parts;
    const context = { serviceId: task.serviceId, nodeId, taskId: task.taskId };
    const records = task.controller.logs(logOptions(message.options), this.#abort.signal);
    for await (const record of records) {
      const bytes = LogMessage.encode(logMessage(context, record));
      while (this.#creditBytes <= 0 && !this.#abort.signal.aborted) await this.#room();
      if (this.#abort.signal.aborted) return;
      this.#creditBytes -= bytes.length;
      send({ t: 'logRecords', subscription: id, records: [bytes] });
    }
  }

  async #room(): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }

  /** A subscription that follows goes on without readers: a task may yet come. */
  #endIfDone(): void {
    const follows = this.#parts.message.options?.follow === true && !this.#abort.signal.aborted;
    if (this.#readers > 0 || follows) return;
    this.#parts.ended();
    this.#parts.send({ t: 'logsEnd', subscription: this.#parts.id, errors: this.#errors });
  }
}

/**
 * The wire's options as readers take them. On the wire a tail of -1 means no line, -2 the last one,
 * and so on; 0 means all.
 *
 * @throws FatalError for a positive tail, which would skip lines from the start
 */
export function logOptions(options: LogSubscriptionOptions | undefined): LogOptions {
  const streams = options?.streams ?? [];
  const tail = options?.tail ?? 0;
  if (tail > 0) throw new FatalError('tail relative to start of logs not supported');
  return {
    follow: options?.follow ?? false,
    tail: tail === 0 ? 'all' : -tail - 1,
    sinceMs: millisOf(options?.since),
    stdout: streams.length === 0 || streams.includes(LogStream.LOG_STREAM_STDOUT),
    stderr: streams.length === 0 || streams.includes(LogStream.LOG_STREAM_STDERR),
  };
}
