/** What a reconcile wants written. An empty plan means that wished and actual state agree. */
import type { TaskState } from '../../../shared/wire/gen/types.ts';

export type Creation = {
  readonly slot: number;
  /** Empty unless the task belongs to a node from the start (global services). */
  readonly nodeId: string;
};

export type Plan = {
  /** Fresh tasks of the service's current version, meant to run: to be gone through once, at any pace. */
  readonly create: Iterable<Creation>;
  /** New desired states. */
  readonly desire: readonly { readonly taskId: string; readonly state: TaskState }[];
  /** Tasks to delete from the store. */
  readonly remove: readonly string[];
};
