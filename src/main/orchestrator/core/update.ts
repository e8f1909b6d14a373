/**
 * Rolling updates (behaviour rule 8.6), as a function of the stored state: which slots to replace
 * next, and when the update is over. What it must remember between two looks is in `UpdateMemory`;
 * a new leader starts with an empty one and goes on.
 */
import type { Service } from '../../../shared/wire/gen/objects.ts';
import {
  TaskState,
  UpdateConfigFailureAction,
  UpdateConfigUpdateOrder,
  UpdateStatusUpdateState,
  type UpdateConfig,
} from '../../../shared/wire/gen/types.ts';
import { durationMs } from '../../../shared/model/time.ts';
import type { TaskRow } from '../../store/view.ts';

/** A slot of a replicated service, or a node's share of a global one: its wanted tasks. */
export type UpdateSlot = { readonly key: string; readonly tasks: readonly TaskRow[] };

export type UpdateMemory = {
  /** Slots whose new task runs, with the time since when. */
  readonly doneAtMs: Map<string, number>;
  /** Tasks of this update that failed. */
  readonly failed: Set<string>;
  /** Slots that needed an update at its start. */
  total: number;
};

export const emptyMemory = (): UpdateMemory => ({
  doneAtMs: new Map(),
  failed: new Set(),
  total: 0,
});

export type UpdatePlan = {
  /** Slots that get a new task now. */
  readonly replace: readonly UpdateSlot[];
  /** Tasks that are no longer needed: a new one runs in their place. */
  readonly end: readonly TaskRow[];
  /** A new status of the service, with the text. */
  readonly status:
    | { readonly state: UpdateStatusUpdateState; readonly message: string }
    | undefined;
  /** When to look again if nothing happens before. */
  readonly wakeAtMs: number | undefined;
};

const NOTHING: UpdatePlan = { replace: [], end: [], status: undefined, wakeAtMs: undefined };

/** Values that hold where the spec says nothing (behaviour rule 0.4). */
const DEFAULT_CONFIG = { parallelism: 1, monitorMs: 5000 } as const;

const { UPDATING, PAUSED, ROLLBACK_STARTED, ROLLBACK_PAUSED, COMPLETED, ROLLBACK_COMPLETED } =
  UpdateStatusUpdateState;

const configOf = (service: Service): UpdateConfig | undefined =>
  service.updateStatus?.state === ROLLBACK_STARTED ? service.spec.rollback : service.spec.update;

/** Whether an update, or its rollback, is under way. */
export const isUpdating = (service: Service): boolean =>
  service.updateStatus?.state === UPDATING || service.updateStatus?.state === ROLLBACK_STARTED;

/** Whether the slot's tasks must change: one of an old version, or more than one. */
const isDirtySlot = (slot: UpdateSlot, isDirty: (row: TaskRow) => boolean): boolean =>
  slot.tasks.length > 1 || slot.tasks.some(isDirty);

/** Whether new tasks start before the old ones stop. */
export const startsFirst = (service: Service): boolean =>
  configOf(service)?.order === UpdateConfigUpdateOrder.START_FIRST;

export type UpdateInput = {
  readonly service: Service;
  readonly slots: readonly UpdateSlot[];
  readonly isDirty: (row: TaskRow) => boolean;
  readonly memory: UpdateMemory;
  readonly nowMs: number;
};

export function planUpdate(input: UpdateInput): UpdatePlan {
  const { service, memory } = input;
  const state = service.updateStatus?.state;
  if (state === PAUSED || state === ROLLBACK_PAUSED) return NOTHING;
  const dirty: UpdateSlot[] = [];
  const clean: UpdateSlot[] = [];
  for (const slot of input.slots) (isDirtySlot(slot, input.isDirty) ? dirty : clean).push(slot);
  if (dirty.length === 0) return isUpdating(service) ? finish(input) : NOTHING;
  memory.total = Math.max(memory.total, dirty.length);
  const failure = failureStatus(input);
  if (failure !== undefined) return { ...NOTHING, status: failure };
  const status = isUpdating(service)
    ? undefined
    : { state: UPDATING, message: 'update in progress' };
  return { ...nextSlots(input, { dirty, clean }), status };
}

/** The slots that may be replaced now: no more in flight than the parallelism allows. */
function nextSlots(
  input: UpdateInput,
  { dirty, clean }: Readonly<Record<'dirty' | 'clean', readonly UpdateSlot[]>>,
): Omit<UpdatePlan, 'status'> {
  const { service, memory, nowMs, isDirty } = input;
  const config = configOf(service);
  const delayMs = durationMs(config?.delay);
  const parallelism = config === undefined ? DEFAULT_CONFIG.parallelism : config.parallelism;
  const end: TaskRow[] = [];
  const waiting: UpdateSlot[] = [];
  let busy = 0;
  for (const slot of dirty) {
    const fresh = slot.tasks.find((row) => !isDirty(row));
    if (fresh === undefined) waiting.push(slot);
    else if (fresh.state >= TaskState.RUNNING || !startsFirst(service)) {
      end.push(...slot.tasks.filter((row) => row !== fresh));
      if (fresh.state < TaskState.RUNNING) busy += 1;
    } else busy += 1;
  }
  for (const { key, tasks } of clean) {
    if (tasks.some((row) => row.state < TaskState.RUNNING)) busy += 1;
    else if (!memory.doneAtMs.has(key)) memory.doneAtMs.set(key, nowMs);
  }
  const resting = [...memory.doneAtMs.values()]
    .map((at) => at + delayMs)
    .filter((at) => at > nowMs);
  const room =
    parallelism === 0 ? waiting.length : Math.max(0, parallelism - busy - resting.length);
  const wakeAtMs = resting.length === 0 ? undefined : Math.min(...resting);
  return { replace: waiting.slice(0, room), end, wakeAtMs };
}

/** Ends the update once its last task has been watched long enough. */
function finish(input: UpdateInput): UpdatePlan {
  const { service, memory, nowMs, slots } = input;
  const failure = failureStatus(input);
  if (failure !== undefined) return { ...NOTHING, status: failure };
  if (slots.some((slot) => slot.tasks.some((row) => row.state < TaskState.RUNNING))) return NOTHING;
  for (const { key } of slots) if (!memory.doneAtMs.has(key)) memory.doneAtMs.set(key, nowMs);
  const monitorMs = durationMs(configOf(service)?.monitor, DEFAULT_CONFIG.monitorMs);
  const wakeAtMs = Math.max(0, ...memory.doneAtMs.values()) + monitorMs;
  if (wakeAtMs > nowMs) return { ...NOTHING, wakeAtMs };
  const rollback = service.updateStatus?.state === ROLLBACK_STARTED;
  const status = rollback
    ? { state: ROLLBACK_COMPLETED, message: 'rollback completed' }
    : { state: COMPLETED, message: 'update completed' };
  return { ...NOTHING, status };
}

/** What too many failures make of the update; undefined when it goes on. */
function failureStatus(input: UpdateInput): UpdatePlan['status'] {
  const { service, memory } = input;
  const [taskId] = [...memory.failed].slice(-1);
  if (taskId === undefined) return undefined;
  const config = configOf(service);
  if (memory.failed.size / Math.max(1, memory.total) <= (config?.maxFailureRatio ?? 0))
    return undefined;
  const action = config?.failureAction ?? UpdateConfigFailureAction.PAUSE;
  const cause = `due to failure or early termination of task ${taskId}`;
  if (service.updateStatus?.state === ROLLBACK_STARTED) {
    return action === UpdateConfigFailureAction.CONTINUE
      ? undefined
      : { state: ROLLBACK_PAUSED, message: `rollback paused ${cause}` };
  }
  if (action === UpdateConfigFailureAction.CONTINUE) return undefined;
  return action === UpdateConfigFailureAction.ROLLBACK
    ? { state: ROLLBACK_STARTED, message: `update rolled back ${cause}` }
    : { state: PAUSED, message: `update paused ${cause}` };
}

/** How long a new task is watched: one that ends within this time has failed. */
export const monitorMs = (service: Service): number =>
  durationMs(configOf(service)?.monitor, DEFAULT_CONFIG.monitorMs);
