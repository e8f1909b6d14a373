/** The rule of slots: never two tasks of one that are both meant to run. */
import { TaskState } from '../../src/shared/wire/gen/types.ts';

/** What is looked at of a task. */
export type SlotTask = {
  readonly id: string;
  readonly serviceId: string;
  readonly slot: number;
  readonly meta: { readonly version: { readonly index: number } };
  readonly desiredState: TaskState;
  readonly status: { readonly state: TaskState };
};

/** Two tasks of a slot, each meant to run when it was looked at. */
export type Pair = {
  readonly text: string;
  readonly first: string;
  readonly second: string;
  /** Whether both were so at one moment. */
  readonly isSure: boolean;
};

export const isMeantToRun = ({ desiredState, status }: SlotTask): boolean =>
  desiredState <= TaskState.RUNNING && status.state <= TaskState.RUNNING;

/**
 * The slots with more than one task that is meant to run, of tasks in the order in which they were
 * looked at. A long list is no snapshot: the first may have been replaced by the second before that was
 * looked at, unless the second was as it is before the first became what it is.
 *
 * None of the services may be one that starts tasks before it stops others.
 */
export function pairsIn(tasks: readonly SlotTask[]): Pair[] {
  const bySlot = Map.groupBy(
    tasks.filter(isMeantToRun),
    ({ serviceId, slot }) => `${serviceId}.${slot}`,
  );
  return [...bySlot].flatMap(([slot, [first, second]]) => {
    if (first === undefined || second === undefined) return [];
    const text = `slot ${slot} has tasks ${describe(first)} and ${describe(second)}`;
    const isSure = second.meta.version.index <= first.meta.version.index;
    return [{ text, first: first.id, second: second.id, isSure }];
  });
}

const describe = ({ id, meta, desiredState, status }: SlotTask): string =>
  `${id} (version ${meta.version.index}, in state ${status.state}, to be ${desiredState})`;
