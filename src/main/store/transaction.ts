/**
 * How the store is written: a transaction reads the head, to which its own writes belong at once, and
 * collects changes that commit as one or not at all.
 */
import type { Init } from '../../shared/wire/runtime.ts';
import type { Endpoint, NetworkAttachment, Task } from '../../shared/wire/gen/objects.ts';
import type { GenericResource, TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import type { ObjectKind, ObjectTable, ObjectTypes, TaskRow, TaskTable, View } from './view.ts';

/** A table that a transaction may write. All methods throw `StoreError`. */
export interface WritableTable<K extends ObjectKind> extends ObjectTable<K> {
  /**
   * Adds the object; the store sets its meta.
   * @throws EXISTS, NAME_CONFLICT, KIND_UNREGISTERED
   */
  create(object: ObjectTypes[K]): void;
  /**
   * Replaces the object of the same id; `object.meta.version` must be the stored one.
   * @throws NOT_EXIST, OUT_OF_SEQUENCE, NAME_CONFLICT, EXTENSION_IMMUTABLE
   */
  update(object: ObjectTypes[K]): void;
  /** @throws NOT_EXIST, EXTENSION_IN_USE */
  remove(id: string): void;
}

/** The fields of a task that change in its life; what is left out stays. */
export type TaskPatch = {
  readonly nodeId?: string;
  readonly desiredState?: TaskState;
  readonly status?: TaskStatus;
  /** Shorthand for a new status with this state and text, the rest as it was. */
  readonly state?: TaskState;
  readonly message?: string;
  readonly err?: string;
  readonly networks?: readonly NetworkAttachment[];
  readonly endpoint?: Endpoint | undefined;
  readonly assignedGenericResources?: readonly GenericResource[];
};

export interface WritableTaskTable extends TaskTable {
  /** @throws EXISTS */
  create(task: Task): void;
  /**
   * Adds tasks that differ from `template` only in id, slot, node and name: the template's shared
   * part is encoded once for all of them.
   */
  createMany(template: Init<Task>, rows: readonly NewTask[]): void;
  /**
   * Writes the fields of `patch`; `status.timestamp` and `applied` fields only as given. `place` as for
   * `get`.
   * @throws NOT_EXIST
   */
  patch(id: string, patch: TaskPatch, place?: number): void;
  /** Replaces the whole task; checks its version. @throws NOT_EXIST, OUT_OF_SEQUENCE */
  update(task: Task): void;
  /** @throws NOT_EXIST */
  remove(id: string): void;
}

/** What sets one task of `createMany` apart. */
export type NewTask = {
  readonly id: string;
  readonly slot: number;
  readonly nodeId: string;
  /** `annotations.name`. */
  readonly name: string;
};

/** The head, writable. Valid until the function it was given to returns. */
export interface Transaction extends View {
  readonly nodes: WritableTable<'node'>;
  readonly services: WritableTable<'service'>;
  readonly networks: WritableTable<'network'>;
  readonly clusters: WritableTable<'cluster'>;
  readonly secrets: WritableTable<'secret'>;
  readonly configs: WritableTable<'config'>;
  readonly resources: WritableTable<'resource'>;
  readonly extensions: WritableTable<'extension'>;
  readonly volumes: WritableTable<'volume'>;
  readonly tasks: WritableTaskTable;
}

/** One committed change of a whole object. */
export type ObjectChange = {
  readonly [K in ObjectKind]:
    | { readonly kind: K; readonly action: 'create'; readonly object: ObjectTypes[K] }
    | {
        readonly kind: K;
        readonly action: 'update';
        readonly object: ObjectTypes[K];
        readonly old: ObjectTypes[K];
      }
    | { readonly kind: K; readonly action: 'remove'; readonly object: ObjectTypes[K] };
}[ObjectKind];

/** One committed change of a task. Rows are valid until the listener returns. */
export type TaskChange =
  | { readonly kind: 'task'; readonly action: 'create'; readonly object: TaskRow }
  | {
      readonly kind: 'task';
      readonly action: 'update';
      readonly object: TaskRow;
      readonly old: TaskRow;
    }
  | { readonly kind: 'task'; readonly action: 'remove'; readonly object: TaskRow };

export type Change = ObjectChange | TaskChange;

/** Every change of one log entry, in order. */
export type Commit = {
  /** Log index of the entry. */
  readonly index: number;
  readonly changes: readonly Change[];
};

/** Why a write was refused. Texts are SwarmKit's (behaviour rule 2.2). */
export type StoreErrorCode =
  | 'EXISTS'
  | 'NOT_EXIST'
  | 'NAME_CONFLICT'
  | 'OUT_OF_SEQUENCE'
  | 'KIND_UNREGISTERED'
  | 'EXTENSION_IMMUTABLE'
  | 'EXTENSION_IN_USE'
  | 'TOO_LARGE'
  | 'LEADERSHIP_LOST'
  | 'NOT_LEADER'
  | 'OUT_OF_BOUNDS';

export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: StoreErrorCode;

  constructor(code: StoreErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/**
 * The store. Everything is synchronous but the wait for a commit.
 *
 * A listener hears each commit once, in order, in the turn in which it is applied, and must be quick:
 * it marks what to do and does it later (`main/kit/mark.ts`). One that throws is a defect of ours and ends
 * the process.
 */
export interface Store {
  /** Reads the committed state. */
  view<T>(fn: (view: View) => T): T;
  /** Reads the head. */
  head<T>(fn: (view: View) => T): T;
  /**
   * Runs `fn` now on the head; resolves with its result once its changes are committed (at once when
   * there are none). When `fn` throws nothing is written.
   * @throws StoreError as a rejection: what `fn` threw, TOO_LARGE, NOT_LEADER, LEADERSHIP_LOST
   */
  update<T>(fn: (tx: Transaction) => T): Promise<T>;
  /**
   * Runs `each` on every item, in as many transactions as the limits ask for (200 changes or three
   * quarters of 1.5 MiB each), all in flight together; resolves when all have committed. Not one
   * unit: an item whose `each` throws is rolled back alone and its error is given to `failed`;
   * without `failed` the promise rejects with the first such error, once the others are committed.
   * Long batches give way to other turns of the event loop between transactions, so items are plain
   * values (ids), never rows, and `each` looks again at what it decides on.
   */
  batch<I>(
    items: Iterable<I>,
    each: (tx: Transaction, item: I) => void,
    failed?: (item: I, error: unknown) => void,
  ): Promise<void>;
  /** Hears every commit from now on. Returns the function that stops it. */
  watch(listener: (commit: Commit) => void): () => void;
  /** Index of the last applied log entry. */
  readonly appliedIndex: number;
}
