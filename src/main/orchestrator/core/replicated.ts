/**
 * Replicated services: as many slots as replicas, one wanted task in each (behaviour rule 8.2).
 */
import type { Service } from '../../../shared/wire/gen/objects.ts';
import { TaskState, UpdateStatusUpdateState } from '../../../shared/wire/gen/types.ts';
import type { TaskRow } from '../../store/view.ts';
import type { Plan } from './plan.ts';
import { isWanted, lastHeardMs } from './task-template.ts';

/** The tasks of one slot that count for it. */
export type Slot = { readonly number: number; readonly tasks: readonly TaskRow[] };

export type Slots = {
  /** Slots with a wanted task, or whose last task ended for good and keeps the slot. */
  readonly held: readonly Slot[];
  /** Slots of which only history is left. */
  readonly dead: readonly Slot[];
};

/** The tasks of a service by slot, in order of slot numbers. */
export function bySlot(rows: Iterable<TaskRow>): Map<number, TaskRow[]> {
  const slots = new Map<number, TaskRow[]>();
  for (const row of rows) {
    const slot = slots.get(row.slot);
    if (slot === undefined) slots.set(row.slot, [row]);
    else slot.push(row);
  }
  return new Map([...slots].toSorted(([a], [b]) => a - b));
}

/**
 * Sorts slots into held and dead.
 *
 * @param mayRestart whether the restart policy would replace this ended task
 */
export function classify(
  service: Service,
  rows: Iterable<TaskRow>,
  mayRestart: (row: TaskRow) => boolean,
): Slots {
  const held: Slot[] = [];
  const dead: Slot[] = [];
  const rollback = service.updateStatus?.state === UpdateStatusUpdateState.ROLLBACK_STARTED;
  for (const [number, tasks] of bySlot(rows)) {
    const wanted = tasks.filter(isWanted);
    if (wanted.length > 0) {
      held.push({ number, tasks: wanted });
      continue;
    }
    const newest = tasks.reduce((a, b) => (lastHeardMs(b) > lastHeardMs(a) ? b : a));
    const ended = newest.desiredState < TaskState.REMOVE && !mayRestart(newest);
    (ended && !rollback ? held : dead).push({ number, tasks });
  }
  return { held, dead };
}

/** The lowest `count` slot numbers from 1 up that are not taken. */
function freeNumbers(taken: ReadonlySet<number>, count: number): number[] {
  const free: number[] = [];
  for (let n = 1; free.length < count; n += 1) if (!taken.has(n)) free.push(n);
  return free;
}

const runs = (slot: Slot): boolean => slot.tasks.some((row) => row.state === TaskState.RUNNING);

/**
 * Slots in the order in which they are kept: first those that run, on the nodes with the fewest of
 * this service, by lower number. Slots in the middle of an update or not placed yet go first of all.
 */
function keepOrder(held: readonly Slot[]): Slot[] {
  const sorted = held.toSorted((a, b) => Number(runs(b)) - Number(runs(a)) || a.number - b.number);
  const copies = new Map<string, number>();
  const rank = new Map<Slot, number>();
  for (const slot of sorted) {
    const [task] = slot.tasks;
    if (slot.tasks.length !== 1 || task === undefined || task.nodeId === '') {
      rank.set(slot, Infinity);
      continue;
    }
    const nth = copies.get(task.nodeId) ?? 0;
    copies.set(task.nodeId, nth + 1);
    rank.set(slot, nth);
  }
  const rankOf = (slot: Slot): number => rank.get(slot) ?? Infinity;
  return sorted.toSorted((a, b) => (rankOf(a) === rankOf(b) ? 0 : rankOf(a) - rankOf(b)));
}

/** Deletes history that nobody runs any more; what may still run is told to go first. */
function clear(
  slots: readonly Slot[],
  isOver: (row: TaskRow) => boolean,
): Pick<Plan, 'desire' | 'remove'> {
  const rows = slots.flatMap((slot) => slot.tasks);
  return {
    remove: rows.filter(isOver).map((row) => row.id),
    desire: rows
      .filter((row) => !isOver(row) && row.desiredState < TaskState.REMOVE)
      .map((row) => ({ taskId: row.id, state: TaskState.REMOVE })),
  };
}

/**
 * Fills missing slots and empties surplus ones; dead slots that are not filled again go.
 *
 * @param isOver whether nothing of the task runs any more, or nobody can tell
 */
export function reconcileReplicated(
  replicas: number,
  slots: Slots,
  isOver: (row: TaskRow) => boolean,
): Plan {
  const { held, dead } = slots;
  const taken = new Set(held.map((slot) => slot.number));
  const numbers = freeNumbers(taken, Math.max(0, replicas - held.length));
  const filled = new Set(numbers);
  const cleared = clear(
    dead.filter((slot) => !filled.has(slot.number)),
    isOver,
  );
  const surplus =
    held.length > replicas ? clear(keepOrder(held).slice(replicas), isOver) : undefined;
  return {
    create: numbers.map((slot) => ({ slot, nodeId: '' })),
    desire: [...cleared.desire, ...(surplus?.desire ?? [])],
    remove: [...cleared.remove, ...(surplus?.remove ?? [])],
  };
}
