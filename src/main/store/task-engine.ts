/** What the store asks of whatever keeps its tasks. */
import type { Init } from '../../shared/wire/runtime.ts';
import type { Task } from '../../shared/wire/gen/objects.ts';
import type { NewTask, TaskChange, TaskPatch } from './transaction.ts';
import type { TaskTable } from './view.ts';
import type { Action, WriteContext } from './writes.ts';

/** Tasks as they were at one moment, read out while the store goes on. */
export type TaskSnapshot = {
  /** The next slice, as fields of a `StoreSnapshot`; undefined after the last. */
  readonly next: () => Uint8Array | undefined;
  /** Stops early. */
  readonly end: () => void;
};

/** How much is held. All but the last are 0 when there is no task. */
export type TaskUsage = {
  readonly rows: number;
  /** Encoded parts. */
  readonly values: number;
  readonly services: number;
  readonly nodes: number;
  readonly texts: number;
  readonly sharedParts: number;
  /** Memory of rows and encoded parts, with what is kept for the next. */
  readonly allocatedBytes: number;
};

export interface TaskEngine {
  usage(): TaskUsage;
  readonly committed: TaskTable;
  readonly head: TaskTable;
  create(task: Task, context: WriteContext): void;
  createMany(template: Init<Task>, rows: readonly NewTask[], context: WriteContext): void;
  patch(id: string, patch: TaskPatch, context: WriteContext, place?: number): void;
  update(task: Task, context: WriteContext): void;
  remove(id: string, context: WriteContext): void;
  /**
   * Applies a change that was made elsewhere, given as the task's bytes: no checks, meta as it comes.
   * Undefined when there was nothing to remove.
   */
  apply(action: Action, bytes: Uint8Array): TaskChange | undefined;
  /** Takes in a committed task of a snapshot, given as its bytes. @throws WireError */
  load(bytes: Uint8Array): void;
  /** What became of the tasks of `former`, of the same make, and what is new: a change, or nothing, for each of both. */
  changesSince(former: this): Iterable<TaskChange | undefined>;
  /** The listeners of a commit have heard it: what was kept for them alone is freed. */
  settle(): void;
  /** Forgets whatever is proposed. */
  dropOverlay(): void;
  /** Notes all committed tasks as they stand now. */
  snapshot(): TaskSnapshot;
}
