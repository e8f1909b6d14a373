/**
 * The two decisions of a task's life: what to do next, and what state the result of it means
 * (behaviour rules 1.2 and 11.3). Rules TSK1 to TSK8 of SPEC.md.
 */
import { timestampOf } from '../../../shared/model/time.ts';
import {
  TaskState,
  type ContainerStatus,
  type PortStatus,
  type TaskStatus,
} from '../../../shared/wire/gen/types.ts';

/** What the controller is asked to do. */
export type Operation = 'prepare' | 'start' | 'wait' | 'shutdown';
/** What moves a task: a controller's operation, or a step that needs none. */
export type Action = Operation | 'accept' | 'preparing' | 'starting';

/** How long after a temporary failure an operation is tried again. */
export const RETRY_AFTER_MS = 1_000;

/** How an action ended. `fatal` text becomes the task's `err` as it stands. */
export type Outcome =
  | { readonly kind: 'done' }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'temporary'; readonly text: string }
  | { readonly kind: 'fatal'; readonly text: string; readonly exitCode: number | undefined };

/** What the controller says of the task's container and ports; goes with its status from STARTING on. */
export type Attached = {
  readonly container: ContainerStatus | undefined;
  readonly ports: PortStatus | undefined;
};

export const NOTHING_ATTACHED: Attached = { container: undefined, ports: undefined };

/** What to do with a task in this state; undefined when there is nothing to do. */
export function nextAction(state: TaskState, desired: TaskState): Action | undefined {
  if (desired >= TaskState.SHUTDOWN) return state >= TaskState.COMPLETE ? undefined : 'shutdown';
  if (state > desired) return undefined;
  // These three may take a task past what is desired: an operation once begun is carried through.
  if (state === TaskState.PREPARING) return 'prepare';
  if (state === TaskState.STARTING) return 'start';
  if (state === TaskState.RUNNING) return 'wait';
  if (state >= desired) return undefined;
  if (state <= TaskState.ASSIGNED) return 'accept';
  if (state === TaskState.ACCEPTED) return 'preparing';
  if (state === TaskState.READY) return 'starting';
  return undefined;
}

/** The state that each action leads to, and the message that the status then carries. */
const RESULTS = {
  accept: [TaskState.ACCEPTED, 'accepted'],
  preparing: [TaskState.PREPARING, 'preparing'],
  prepare: [TaskState.READY, 'prepared'],
  starting: [TaskState.STARTING, 'starting'],
  start: [TaskState.RUNNING, 'started'],
  wait: [TaskState.COMPLETE, 'finished'],
  shutdown: [TaskState.SHUTDOWN, 'shutdown'],
} as const satisfies Readonly<Record<Action, readonly [TaskState, string]>>;

/** Whether the action needs no controller. */
export function isLocal(action: Action): action is Exclude<Action, Operation> {
  return action === 'accept' || action === 'preparing' || action === 'starting';
}

/**
 * The status after an action; the very same object when nothing changed.
 *
 * After `cancelled` and `temporary` the state stays, and the action is due again (the latter after
 * `RETRY_AFTER_MS`).
 */
export function observe(
  status: TaskStatus,
  action: Action,
  result: { readonly outcome: Outcome; readonly attached: Attached },
  nowMs: number,
): TaskStatus {
  const { outcome, attached } = result;
  if (outcome.kind === 'cancelled') return status;
  if (outcome.kind === 'temporary') {
    return stamped(status, { ...status, err: outcome.text }, attached, nowMs);
  }
  if (outcome.kind === 'fatal') {
    return stamped(status, failed(status, outcome.text), exited(attached, outcome), nowMs);
  }
  const [state, message] = RESULTS[action];
  return stamped(status, { ...status, state, message, err: '' }, attached, nowMs);
}

/** The status of a task for which no controller can be made; a task that is over stays as it is. */
export function unresolved(status: TaskStatus, text: string, nowMs: number): TaskStatus {
  if (status.state > TaskState.RUNNING) return status;
  const message = 'resolving controller failed';
  return stamped(status, { ...failed(status, text), message }, NOTHING_ATTACHED, nowMs);
}

function failed(status: TaskStatus, err: string): TaskStatus {
  const state = status.state < TaskState.STARTING ? TaskState.REJECTED : TaskState.FAILED;
  return { ...status, state, err };
}

/** Puts the exit code where the container's status has it. */
function exited(
  attached: Attached,
  { exitCode }: { readonly exitCode: number | undefined },
): Attached {
  if (exitCode === undefined) return attached;
  const container = attached.container ?? { containerId: '', pid: 0, exitCode: 0 };
  return { ...attached, container: { ...container, exitCode } };
}

/** The new status with what belongs to it, and with its time if it differs from the old one. */
function stamped(old: TaskStatus, next: TaskStatus, attached: Attached, nowMs: number): TaskStatus {
  const shows = next.state >= TaskState.STARTING && next.state !== TaskState.REJECTED;
  const container = shows ? attached.container : undefined;
  const ports = shows ? attached.ports : undefined;
  const full: TaskStatus = {
    ...next,
    runtimeStatus:
      container === undefined ? next.runtimeStatus : { case: 'container', value: container },
    portStatus: ports ?? next.portStatus,
  };
  return sameStatus(old, full) ? old : { ...full, timestamp: timestampOf(nowMs) };
}

/** Equal in all but the time. */
function sameStatus(a: TaskStatus, b: TaskStatus): boolean {
  return (
    a.state === b.state &&
    a.message === b.message &&
    a.err === b.err &&
    sameContainer(a.runtimeStatus?.value, b.runtimeStatus?.value) &&
    samePorts(a.portStatus, b.portStatus)
  );
}

function sameContainer(a: ContainerStatus | undefined, b: ContainerStatus | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined) return false;
  return a.containerId === b.containerId && a.pid === b.pid && a.exitCode === b.exitCode;
}

function samePorts(a: PortStatus | undefined, b: PortStatus | undefined): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.ports.length !== b.ports.length) return false;
  return a.ports.every((port, index) => {
    const other = b.ports[index];
    return (
      other !== undefined &&
      port.protocol === other.protocol &&
      port.targetPort === other.targetPort &&
      port.publishedPort === other.publishedPort &&
      port.publishMode === other.publishMode &&
      port.name === other.name
    );
  });
}
