/**
 * Replicated services: as many slots as replicas, one wanted task in each (behaviour rule 8.2).
 */
import type { Service } from '../../../shared/wire/gen/objects.ts';
import { TaskState, UpdateStatusUpdateState } from '../../../shared/wire/gen/types.ts';
import type { TaskRow } from '../../store/view.ts';
import type { Plan } from './plan.ts';
import { SlotNumbers } from './slot-numbers.ts';
import { isWanted, lastHeardMs } from './task-template.ts';

/** The tasks of one slot that count for it. */
export type Slot = { readonly number: number; readonly tasks: readonly TaskRow[] };

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
 * Which slots of a service are held: by a wanted task, or by a last task that ended for good. All tasks
 * are met one after the other, then the slots of which none was wanted are looked at as a whole. A
 * restart in between puts one wanted task in the place of another, which the second look sees.
 */
export class SlotSurvey {
  readonly held = new SlotNumbers();
  /** Slots of which only history is left. */
  readonly dead: number[] = [];
  readonly #unwanted = new Set<number>();

  /** Returns whether the task is wanted beside another one that was met, maybe itself. */
  meet(row: TaskRow): boolean {
    if (isWanted(row)) return !this.held.add(row.slot);
    this.#unwanted.add(row.slot);
    return false;
  }

  /** Slots that `look` is to see. */
  *unsure(): Generator<number, void> {
    for (const slot of this.#unwanted) if (!this.held.has(slot)) yield slot;
  }

  /** Decides of a slot by all its tasks; `mayRestart`: the restart policy would replace this ended one. */
  look(service: Service, { number, tasks }: Slot, mayRestart: (row: TaskRow) => boolean): void {
    const [first] = tasks;
    if (first === undefined) return;
    const isHeld = tasks.some(isWanted) || endedForGood(service, [first, ...tasks], mayRestart);
    if (isHeld) this.held.add(number);
    else this.dead.push(number);
  }
}

/** Whether nothing is to follow the newest of these tasks, none of which is wanted. */
function endedForGood(
  service: Service,
  tasks: readonly [TaskRow, ...TaskRow[]],
  mayRestart: (row: TaskRow) => boolean,
): boolean {
  if (service.updateStatus?.state === UpdateStatusUpdateState.ROLLBACK_STARTED) return false;
  const newest = tasks.reduce((a, b) => (lastHeardMs(b) > lastHeardMs(a) ? b : a));
  return newest.desiredState < TaskState.REMOVE && !mayRestart(newest);
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

/** What is left to do about the slots once it is known which are held. */
export type SlotTasks = {
  readonly ofSlot: (slot: number) => readonly TaskRow[];
  /** Of the whole service; asked for only when there are too many. */
  readonly all: () => Iterable<TaskRow>;
  /** Whether nothing of the task runs any more, or nobody can tell. */
  readonly isOver: (row: TaskRow) => boolean;
};

/** Fills missing slots and empties surplus ones; dead slots that are not filled again go. */
export function reconcileReplicated(
  replicas: number,
  { held, dead }: Pick<SlotSurvey, 'held' | 'dead'>,
  { ofSlot, all, isOver }: SlotTasks,
): Plan {
  const missing = Math.max(0, replicas - held.size);
  const last = held.lastFree(missing);
  const gone = dead.filter((number) => number > last);
  const cleared = clear(
    gone.map((number) => ({ number, tasks: ofSlot(number) })),
    isOver,
  );
  const surplus =
    held.size > replicas ? clear(surplusSlots(replicas, held, all()), isOver) : undefined;
  return {
    create: Iterator.from(held.free(missing)).map((slot) => ({ slot, nodeId: '' })),
    desire: [...cleared.desire, ...(surplus?.desire ?? [])],
    remove: [...cleared.remove, ...(surplus?.remove ?? [])],
  };
}

function surplusSlots(replicas: number, held: SlotNumbers, rows: Iterable<TaskRow>): Slot[] {
  const slots: Slot[] = [];
  for (const [number, tasks] of bySlot(rows)) {
    if (!held.has(number)) continue;
    const wanted = tasks.filter(isWanted);
    slots.push({ number, tasks: wanted.length > 0 ? wanted : tasks });
  }
  return keepOrder(slots).slice(replicas);
}
