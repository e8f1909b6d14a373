/**
 * The tasks of this node on its own disk (LMDB), so that a restarted worker goes on with them
 * (behaviour rule 11.2). A task's status has a place of its own: it changes often, and what this node
 * saw counts more than what a manager repeats. Secrets and configs are never stored.
 */
import { join } from 'node:path';
import { open, type Database, type RootDatabase } from 'lmdb';
import { Task } from '../../shared/wire/gen/objects.ts';
import { TaskStatus } from '../../shared/wire/gen/types.ts';
import { Writer } from '../../shared/wire/runtime.ts';
import type { StatusUpdate } from '../pools/tasks.ts';

/** Tag of `Task.status`. A later field replaces an earlier one, so appending it is enough. */
const STATUS_TAG = (9 << 3) | 2;

const writer = new Writer(4096);

/** The task's bytes with another status. */
export function withStatus(task: Uint8Array, status: Uint8Array): Uint8Array {
  writer.bytes(status);
  writer.varint(STATUS_TAG);
  writer.raw(task);
  return writer.finish();
}

/** What the agent needs of it; a fleet of simulated workers keeps its tasks in memory instead. */
export type TaskStorage = Pick<
  TaskDatabase,
  'has' | 'ids' | 'get' | 'status' | 'all' | 'assign' | 'setStatuses' | 'remove'
>;

/**
 * Once it is being closed it is as if empty, and takes nothing more: LMDB must not be read then, and
 * what a stopping node still hears of its tasks the next start learns from their runtime.
 */
export class TaskDatabase implements AsyncDisposable {
  readonly #root: RootDatabase<Buffer, string>;
  readonly #tasks: Database<Buffer, string>;
  readonly #statuses: Database<Buffer, string>;
  #closing = false;

  /** Opens the database in `directory`, which must exist. */
  constructor(directory: string) {
    this.#root = open<Buffer, string>({
      path: join(directory, 'tasks.mdb'),
      encoding: 'binary',
      overlappingSync: false,
      maxDbs: 2,
    });
    this.#tasks = this.#root.openDB<Buffer, string>({ name: 'tasks', encoding: 'binary' });
    this.#statuses = this.#root.openDB<Buffer, string>({ name: 'statuses', encoding: 'binary' });
  }

  has(id: string): boolean {
    return !this.#closing && this.#tasks.doesExist(id);
  }

  ids(): string[] {
    return this.#closing ? [] : [...this.#tasks.getKeys({})];
  }

  /** The stored task with its stored status; undefined when there is none. */
  get(id: string): Uint8Array | undefined {
    if (this.#closing) return undefined;
    const task = this.#tasks.get(id);
    const status = this.#statuses.get(id);
    if (task === undefined || status === undefined) return task;
    return withStatus(task, status);
  }

  status(id: string): TaskStatus | undefined {
    const status = this.#closing ? undefined : this.#statuses.get(id);
    return status === undefined ? undefined : TaskStatus.decode(status);
  }

  /** Stores assigned tasks; of a new one also its status. Resolves when they are on the disk. */
  async assign(tasks: readonly Task[]): Promise<void> {
    if (this.#closing) return;
    const writes = tasks.flatMap((task) => {
      const put = this.#tasks.put(task.id, Buffer.from(Task.encode(task)));
      if (this.#statuses.doesExist(task.id)) return [put];
      return [put, this.#statuses.put(task.id, Buffer.from(TaskStatus.encode(task.status)))];
    });
    await Promise.all(writes);
  }

  /** Every stored task with its stored status. */
  *all(): Iterable<{ readonly id: string; readonly bytes: Uint8Array }> {
    for (const id of this.ids()) {
      const bytes = this.get(id);
      if (bytes !== undefined) yield { id, bytes };
    }
  }

  /** Stores statuses of known tasks. */
  async setStatuses(updates: readonly StatusUpdate[]): Promise<void> {
    const known = updates.filter(({ taskId }) => this.has(taskId));
    const put = ({ taskId, status }: StatusUpdate): Promise<boolean> =>
      this.#statuses.put(taskId, Buffer.from(TaskStatus.encode(status)));
    await Promise.all(known.map(put));
  }

  async remove(ids: readonly string[]): Promise<void> {
    if (this.#closing) return;
    await Promise.all(ids.flatMap((id) => [this.#tasks.remove(id), this.#statuses.remove(id)]));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing = true;
    await this.#root.close();
  }
}
