/**
 * Whether a service runs as asked: judged again and again from what the manager shows, until it does,
 * or until it is plain that it will not.
 *
 * A replicated or global service has converged when as many tasks of its newest spec run as it wants,
 * none of an older spec is meant to run, and that has held for a while. Tasks that were to run once
 * and have completed count as running; a job has converged when it is complete.
 */
import { taskName } from '../../../shared/model/names.ts';
import type { Service, Task } from '../../../shared/wire/gen/objects.ts';
import {
  RestartPolicyRestartCondition,
  TaskState,
  UpdateStatusUpdateState,
} from '../../../shared/wire/gen/types.ts';

/** What is seen of a service at one moment. */
export type Observation = {
  readonly service: Service;
  /** As `ListServiceStatuses` counts. */
  readonly desiredTasks: number;
  readonly completedTasks: number;
  readonly tasks: readonly Task[];
  /** Those of the tasks that match the newest spec. */
  readonly upToDate: ReadonlySet<string>;
};

/** A task that changed its state since it was last seen. */
export type Transition = {
  readonly task: string;
  readonly state: TaskState;
  readonly error: string;
};

export type Outcome = 'waiting' | 'converged' | 'failed' | 'paused' | 'rolled-back';

export type Judgement = {
  readonly outcome: Outcome;
  /** Tasks that are as they should be, and how many there should be. */
  readonly ready: number;
  readonly wanted: number;
  /** What stands in the way: of a task, with its error; or of the update. Empty when nothing does. */
  readonly problem: string;
  readonly transitions: readonly Transition[];
};

export type ConvergenceOptions = {
  /** How long all tasks must have been ready. */
  readonly stableMs: number;
  /** Failures of one slot after which it counts as failing. */
  readonly failuresMax: number;
};

export const CONVERGENCE_DEFAULTS: ConvergenceOptions = { stableMs: 2000, failuresMax: 3 };

const slotOf = (task: Task): string => (task.slot === 0 ? task.nodeId : String(task.slot));
/** `web.2`, without the task's own id. */
const shortName = (task: Task): string => taskName(task).replace(new RegExp(`\\.${task.id}$`), '');

const hasFailed = ({ status: { state } }: Task): boolean =>
  state === TaskState.FAILED || state === TaskState.REJECTED;
const isMeantToRun = ({ desiredState }: Task): boolean => desiredState <= TaskState.RUNNING;
/** Runs, or will without anybody's doing. */
const isLive = (task: Task): boolean =>
  isMeantToRun(task) && task.status.state <= TaskState.RUNNING;

export class Convergence {
  readonly #options: ConvergenceOptions;
  readonly #states = new Map<string, TaskState>();
  /** Failures seen since this began, by slot. */
  readonly #failures = new Map<string, Set<string>>();
  /** Failed before this began, so nothing to do with what is waited for. */
  #earlier: ReadonlySet<string> | undefined;
  #readySinceMs: number | undefined;

  constructor(options: ConvergenceOptions = CONVERGENCE_DEFAULTS) {
    this.#options = options;
  }

  /** `nowMs` must not run backwards. */
  observe(seen: Observation, nowMs: number): Judgement {
    this.#earlier ??= new Set(
      seen.tasks.filter((t) => hasFailed(t) && !isMeantToRun(t)).map((t) => t.id),
    );
    const current = seen.tasks.filter((task) => seen.upToDate.has(task.id));
    const transitions = this.#transitions(seen.tasks);
    this.#countFailures(current);
    const count = counted(seen, current);
    const problem = problemOf(current);
    const base = { ready: count.ready, wanted: count.wanted, problem, transitions };
    const ended = endOfUpdate(seen.service);
    if (ended !== undefined) return { ...base, ...ended };
    if (this.#isHopeless(seen, current)) return { ...base, outcome: 'failed' };
    if (!count.complete || isUpdating(seen.service)) {
      this.#readySinceMs = undefined;
      return { ...base, outcome: 'waiting' };
    }
    this.#readySinceMs ??= nowMs;
    const hold = count.isFinal ? 0 : this.#options.stableMs;
    const outcome = nowMs - this.#readySinceMs >= hold ? 'converged' : 'waiting';
    return { ...base, problem: '', outcome };
  }

  #transitions(tasks: readonly Task[]): readonly Transition[] {
    const isFirst = this.#states.size === 0;
    const changed: Transition[] = [];
    for (const task of tasks) {
      const { state, err } = task.status;
      const before = this.#states.get(task.id);
      this.#states.set(task.id, state);
      const isOld = before === undefined && isFirst && state >= TaskState.RUNNING;
      if (before === state || isOld) continue;
      changed.push({ task: shortName(task), state, error: err });
    }
    return changed;
  }

  #countFailures(current: readonly Task[]): void {
    for (const task of current) {
      if (!hasFailed(task) || this.#earlier?.has(task.id) === true) continue;
      const slot = slotOf(task);
      this.#failures.set(slot, (this.#failures.get(slot) ?? new Set()).add(task.id));
    }
  }

  /** A slot fails again and again, or nothing will start what has failed. */
  #isHopeless({ service }: Observation, current: readonly Task[]): boolean {
    const live = new Set(current.filter(isLive).map(slotOf));
    const running = new Set(
      current.filter((t) => isMeantToRun(t) && t.status.state === TaskState.RUNNING).map(slotOf),
    );
    const never = service.spec.task.restart?.condition === RestartPolicyRestartCondition.NONE;
    return [...this.#failures].some(
      ([slot, ids]) =>
        !running.has(slot) && (ids.size >= this.#options.failuresMax || (never && !live.has(slot))),
    );
  }
}

type Count = {
  readonly ready: number;
  readonly wanted: number;
  readonly complete: boolean;
  /** Nothing can change it any more. */
  readonly isFinal: boolean;
};

function counted(seen: Observation, current: readonly Task[]): Count {
  const { mode } = seen.service.spec;
  if (mode?.case === 'replicatedJob') {
    const wanted = Number(mode.value.totalCompletions);
    const ready = seen.completedTasks;
    return { ready, wanted, complete: ready >= wanted, isFinal: true };
  }
  if (mode?.case === 'globalJob') {
    const ready = seen.completedTasks;
    const wanted = ready + seen.desiredTasks;
    return { ready, wanted, complete: seen.desiredTasks === 0, isFinal: ready > 0 };
  }
  const live = current.filter(isLive);
  const running = live.filter(({ status }) => status.state === TaskState.RUNNING).length;
  const done = completedSlots(seen.service, current, live).size;
  const wanted =
    mode?.case === 'replicated'
      ? Number(mode.value.replicas)
      : Math.max(seen.desiredTasks, live.length);
  const older = seen.tasks.some((task) => isMeantToRun(task) && !seen.upToDate.has(task.id));
  const ready = running + done;
  const isFinal = wanted > 0 && done === wanted;
  return {
    ready,
    wanted,
    complete: ready === wanted && live.length === running && !older,
    isFinal,
  };
}

/** Slots whose task has completed and is not run again. */
function completedSlots(
  service: Service,
  current: readonly Task[],
  live: readonly Task[],
): ReadonlySet<string> {
  const condition = service.spec.task.restart?.condition;
  if (condition === undefined || condition === RestartPolicyRestartCondition.ANY) return new Set();
  const slots = new Set(
    current.filter(({ status }) => status.state === TaskState.COMPLETE).map(slotOf),
  );
  for (const task of live) slots.delete(slotOf(task));
  return slots;
}

/** The newest words about a task that does not run. */
function problemOf(current: readonly Task[]): string {
  let newest: Task | undefined;
  for (const task of current) {
    const { state, err } = task.status;
    if (err === '' || state === TaskState.RUNNING || state === TaskState.COMPLETE) continue;
    const at = task.status.timestamp?.seconds ?? 0;
    if (newest === undefined || at >= (newest.status.timestamp?.seconds ?? 0)) newest = task;
  }
  return newest === undefined ? '' : `${shortName(newest)}: ${newest.status.err}`;
}

function isUpdating({ updateStatus }: Service): boolean {
  const state = updateStatus?.state;
  return (
    state === UpdateStatusUpdateState.UPDATING || state === UpdateStatusUpdateState.ROLLBACK_STARTED
  );
}

function endOfUpdate({
  updateStatus,
}: Service): { readonly outcome: Outcome; readonly problem: string } | undefined {
  const { PAUSED, ROLLBACK_PAUSED, ROLLBACK_COMPLETED } = UpdateStatusUpdateState;
  const state = updateStatus?.state;
  const problem = updateStatus?.message ?? '';
  if (state === PAUSED || state === ROLLBACK_PAUSED) return { outcome: 'paused', problem };
  return state === ROLLBACK_COMPLETED ? { outcome: 'rolled-back', problem } : undefined;
}
