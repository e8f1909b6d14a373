/**
 * Tells a manager what became of a worker's tasks, one call at a time: either each state of each task
 * in a call of its own, tasks in turn, or all that have gathered in one call. A new session hears of
 * every task once more.
 */
import { TaskState } from '../../src/shared/wire/gen/types.ts';
import type { ReportMode } from './messages.ts';
import { type Report, writeReports } from './wire.ts';

/** The states that a container goes through, in order. */
const UP = [
  TaskState.ACCEPTED,
  TaskState.PREPARING,
  TaskState.READY,
  TaskState.STARTING,
  TaskState.RUNNING,
] as const;

/** Statuses in one call: well below a manager's limit of 4 MiB. */
const REPORTS_MAX = 2000;

type Task = {
  readonly id: string;
  state: TaskState;
  desired: TaskState;
  queued: boolean;
  /** The session that stands has not heard of the state yet, an earlier one has. */
  again: boolean;
};

/** Where reports go. */
export type ReportSession = {
  readonly id: string;
  /** Sends an `UpdateTaskStatusRequest`; rejects when the session is over. */
  readonly report: (bytes: Uint8Array) => Promise<void>;
};

export type ReporterOptions = {
  readonly mode: ReportMode;
  /** The manager has acknowledged that this task is in this state. */
  readonly onState: (state: TaskState) => void;
  /** A call was answered. */
  readonly onCall: () => void;
};

export class Reports {
  readonly tasks = new Map<string, Task>();
  mode: ReportMode;
  readonly #options: ReporterOptions;
  #queue: Task[] = [];
  #session: ReportSession | undefined;
  /** The session that reports are on their way to. */
  #sending: ReportSession | undefined;

  constructor(options: ReporterOptions) {
    this.#options = options;
    this.mode = options.mode;
  }

  /** A session stands: it hears of every task that has left its first state. */
  open(session: ReportSession): void {
    this.#session = session;
    for (const task of this.tasks.values()) {
      task.again = task.state > TaskState.ASSIGNED;
      this.#enqueue(task);
    }
  }

  /** The session is over: tasks wait for the next one. */
  close(): void {
    this.#session = undefined;
    for (const task of this.#queue.splice(0)) task.queued = false;
  }

  /** A task is wanted in another state. */
  want(id: string, desired: TaskState): void {
    const task = this.tasks.get(id) ?? {
      id,
      state: TaskState.ASSIGNED,
      desired,
      queued: false,
      again: false,
    };
    this.tasks.set(id, task);
    task.desired = desired;
    this.#enqueue(task);
  }

  /** So many running tasks exit. Returns how many there were to. */
  fail(count: number): number {
    let failed = 0;
    for (const task of this.tasks.values()) {
      if (failed === count) break;
      if (task.state !== TaskState.RUNNING || task.desired > TaskState.RUNNING) continue;
      task.desired = TaskState.FAILED;
      this.#enqueue(task);
      failed += 1;
    }
    return failed;
  }

  #enqueue(task: Task): void {
    const session = this.#session;
    if (session === undefined || task.queued || this.#next(task) === undefined) return;
    task.queued = true;
    this.#queue.push(task);
    if (this.#sending !== session) void this.#pump(session);
  }

  /** The state that the task is to report next. */
  #next({ state, desired, again }: Task): TaskState | undefined {
    if (again) return state;
    if (state > TaskState.RUNNING) return undefined;
    if (desired === TaskState.FAILED) return TaskState.FAILED;
    if (desired >= TaskState.SHUTDOWN) return TaskState.SHUTDOWN;
    if (this.mode === 'last') return UP.findLast((step) => step > state && step <= desired);
    return UP.find((step) => step > state && step <= desired);
  }

  async #pump(session: ReportSession): Promise<void> {
    this.#sending = session;
    // What this turn brings goes together.
    await new Promise<void>((resolve) => void setImmediate(resolve));
    try {
      while (this.#queue.length > 0 && this.#session === session) await this.#sendSome(session);
    } catch {
      // The session has ended with it, and says why.
    }
    if (this.#sending === session) this.#sending = undefined;
  }

  /** What the next call tells of. */
  #take(): readonly Task[] {
    if (this.mode === 'last') return this.#queue.splice(0, REPORTS_MAX);
    const first = this.#queue.shift();
    return first === undefined ? [] : [first];
  }

  async #sendSome(session: ReportSession): Promise<void> {
    const tasks = this.#take();
    const told: { readonly task: Task; readonly report: Report }[] = [];
    for (const task of tasks) {
      task.queued = false;
      const state = this.#next(task);
      if (state !== undefined) told.push({ task, report: { id: task.id, state } });
    }
    if (told.length === 0) return;
    const reports = told.map(({ report }) => report);
    await session.report(writeReports(session.id, reports));
    this.#options.onCall();
    for (const { task, report } of told) {
      task.state = report.state;
      task.again = false;
      this.#options.onState(report.state);
      this.#enqueue(task);
    }
  }
}
