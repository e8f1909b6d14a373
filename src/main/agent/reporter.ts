/**
 * Tells the manager what became of tasks: the newest status of each, all that have gathered in one
 * call, one call at a time (behaviour rule 11.2).
 */
import type { TaskStatus } from '../../shared/wire/gen/types.ts';
import type { StatusUpdate } from '../pools/tasks.ts';
import { Code, hasCode } from '../rpc/errors.ts';

/** Statuses in one call: far below the manager's limit of 4 MiB. */
const STATUSES_PER_CALL = 2000;

/** @throws when the call failed; NotFound drops what was sent. */
export type Send = (updates: readonly StatusUpdate[]) => Promise<void>;

export class Reporter {
  readonly #newest = new Map<string, TaskStatus>();
  readonly #onFailure: (error: unknown) => void;
  #send: Send | undefined;
  #sending = false;

  /** `onFailure` hears that a session can no longer report; what was not sent is kept. */
  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure;
  }

  /** Queues a status; one of a lower state than the queued one is ignored. */
  report(taskId: string, status: TaskStatus): void {
    const queued = this.#newest.get(taskId);
    if (queued !== undefined && queued.state > status.state) return;
    this.#newest.set(taskId, status);
    void this.#pump();
  }

  /** Drops what is queued for a task that is gone. */
  forget(taskId: string): void {
    this.#newest.delete(taskId);
  }

  /** Sends over a new session from now on. */
  open(send: Send): void {
    this.#send = send;
    void this.#pump();
  }

  close(): void {
    this.#send = undefined;
  }

  async #pump(): Promise<void> {
    if (this.#sending) return;
    this.#sending = true;
    try {
      // Gather what this turn brings.
      await new Promise<void>((resolve) => void setImmediate(resolve));
      while (this.#send !== undefined && this.#newest.size > 0) await this.#sendSome(this.#send);
    } finally {
      this.#sending = false;
    }
  }

  async #sendSome(send: Send): Promise<void> {
    const updates: StatusUpdate[] = [];
    for (const [taskId, status] of this.#newest) {
      updates.push({ taskId, status });
      if (updates.length === STATUSES_PER_CALL) break;
    }
    try {
      await send(updates);
    } catch (error) {
      if (!hasCode(error, Code.NOT_FOUND) && this.#send === send) {
        this.#send = undefined;
        this.#onFailure(error);
      }
      if (!hasCode(error, Code.NOT_FOUND)) return;
    }
    for (const { taskId, status } of updates) {
      if (this.#newest.get(taskId) === status) this.#newest.delete(taskId);
    }
  }
}
