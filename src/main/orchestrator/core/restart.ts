/**
 * Whether and when an ended task is replaced (behaviour rule 8.5).
 *
 * The history of replacements lives in memory and is rebuilt from the stored tasks when a manager
 * begins to lead.
 */
import type { RestartPolicy } from '../../../shared/wire/gen/types.ts';
import { RestartPolicyRestartCondition, TaskState } from '../../../shared/wire/gen/types.ts';
import { durationMs } from '../../../shared/model/time.ts';
import type { TaskRow } from '../../store/view.ts';

export const RESTART = {
  delayMs: 5000,
  /** How long a replacement waits for the task before it to stop, beyond its delay. */
  oldTaskTimeoutMs: 60_000,
} as const;

type History = { readonly specVersion: number; readonly atMs: number[] };

/** Whom the history belongs to: a slot, or a node for global services. */
const keyOf = (row: TaskRow): string =>
  row.slot === 0 ? `${row.serviceId}@${row.nodeId}` : `${row.serviceId}.${row.slot}`;

export class RestartHistory {
  readonly #byKey = new Map<string, History>();
  /** Keys of each service, to forget them together. */
  readonly #byService = new Map<string, Set<string>>();

  /** Notes that `row` is being replaced at `nowMs`. Kept only where attempts are limited. */
  note(row: TaskRow, nowMs: number): void {
    if (!this.isKept(row)) return;
    const key = keyOf(row);
    const known = this.#byKey.get(key);
    const history =
      known?.specVersion === row.specVersion ? known : { specVersion: row.specVersion, atMs: [] };
    history.atMs.push(nowMs);
    this.#byKey.set(key, history);
    const keys = this.#byService.get(row.serviceId) ?? new Set();
    this.#byService.set(row.serviceId, keys.add(key));
  }

  /** Whether the task's replacements are counted. */
  isKept(row: TaskRow): boolean {
    return (policyOf(row)?.maxAttempts ?? 0) > 0;
  }

  /**
   * Rebuilds the history of one slot or node from its tasks, whatever was known of it: each of the newest
   * version but the first replaced one.
   */
  rebuild(rows: readonly TaskRow[]): void {
    const [first] = rows;
    if (first === undefined) return;
    this.#byKey.delete(keyOf(first));
    const newest = Math.max(...rows.map((row) => row.specVersion));
    const tasks = rows.filter((row) => row.specVersion === newest);
    for (const row of tasks.toSorted((a, b) => a.createdAtMs - b.createdAtMs).slice(1)) {
      this.note(row, row.createdAtMs);
    }
  }

  forget(serviceId: string): void {
    for (const key of this.#byService.get(serviceId) ?? []) this.#byKey.delete(key);
    this.#byService.delete(serviceId);
  }

  /** Whether the restart policy replaces this task. */
  allows(row: TaskRow): boolean {
    const policy = policyOf(row);
    const { NONE, ON_FAILURE } = RestartPolicyRestartCondition;
    const condition = policy === undefined ? RestartPolicyRestartCondition.ANY : policy.condition;
    if (condition === NONE) return false;
    const onFailure = condition === ON_FAILURE || row.jobIteration >= 0;
    if (onFailure && row.state === TaskState.COMPLETE) return false;
    const max = policy?.maxAttempts ?? 0;
    if (max === 0) return true;
    const history = this.#byKey.get(keyOf(row));
    if (history === undefined || history.specVersion !== row.specVersion) return true;
    return this.#counted(history, row, durationMs(policy?.window)) < max;
  }

  /** Replacements that count: all, or those within the window before the task ended. */
  #counted(history: History, row: TaskRow, windowMs: number): number {
    if (windowMs <= 0) return history.atMs.length;
    const endMs = row.appliedAtMs === 0 ? row.statusAtMs : row.appliedAtMs;
    return history.atMs.filter((at) => at >= endMs - windowMs && at < endMs).length;
  }
}

const policyOf = (row: TaskRow): RestartPolicy | undefined => row.shared().spec.restart;

/** Time between a task's end and the start of the one that replaces it. */
export function restartDelayMs(row: TaskRow, nodeDrained: boolean): number {
  if (nodeDrained) return 0;
  return durationMs(policyOf(row)?.delay, RESTART.delayMs);
}

/** A replacement that waits: for its time, and for the task before it to stop. */
export type Delayed = {
  readonly taskId: string;
  /** Empty when there is nobody to wait for. */
  readonly oldTaskId: string;
  readonly serviceId: string;
  readonly startAtMs: number;
};

/** All replacements that wait. Pure: `due` says which may start, `after` whether one may that waited for a task. */
export class DelayedStarts {
  readonly #byTask = new Map<string, Delayed>();
  /** Those that wait for a task, by its id. */
  readonly #byOldTask = new Map<string, Delayed>();

  add(delayed: Delayed): void {
    this.#byTask.set(delayed.taskId, delayed);
    if (delayed.oldTaskId !== '') this.#byOldTask.set(delayed.oldTaskId, delayed);
  }

  has(taskId: string): boolean {
    return this.#byTask.has(taskId);
  }

  cancel(taskId: string): void {
    const delayed = this.#byTask.get(taskId);
    if (delayed !== undefined) this.#take(delayed);
  }

  #take(delayed: Delayed): Delayed {
    this.#byTask.delete(delayed.taskId);
    const { oldTaskId } = delayed;
    if (this.#byOldTask.get(oldTaskId) === delayed) this.#byOldTask.delete(oldTaskId);
    return delayed;
  }

  get size(): number {
    return this.#byTask.size;
  }

  /** Takes out the one that waited for this task, which has stopped, unless its time is still to come. */
  after(oldTaskId: string, nowMs: number): Delayed | undefined {
    const delayed = this.#byOldTask.get(oldTaskId);
    return delayed === undefined || nowMs < delayed.startAtMs ? undefined : this.#take(delayed);
  }

  /** Takes out those that may start now. Looks at all. `stopped`: nothing of the old task runs, or nobody can tell. */
  due(nowMs: number, stopped: (oldTaskId: string) => boolean): Delayed[] {
    const out: Delayed[] = [];
    for (const delayed of this.#byTask.values()) {
      if (nowMs < delayed.startAtMs) continue;
      const patience = nowMs >= delayed.startAtMs + RESTART.oldTaskTimeoutMs;
      if (delayed.oldTaskId !== '' && !patience && !stopped(delayed.oldTaskId)) continue;
      out.push(this.#take(delayed));
    }
    return out;
  }

  /** When to look again at the latest; undefined when nobody waits for time. */
  nextMs(nowMs: number): number | undefined {
    let next: number | undefined;
    for (const { startAtMs } of this.#byTask.values()) {
      const at = startAtMs > nowMs ? startAtMs : startAtMs + RESTART.oldTaskTimeoutMs;
      if (next === undefined || at < next) next = at;
    }
    return next;
  }
}
