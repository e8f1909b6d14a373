/**
 * One task's controller loop without its controller: which operation runs, what is reported, and how
 * an assignment or a removal that arrives in the middle is taken up (SPEC.md, rules TSK9 to TSK15).
 *
 * Every method returns what the shell must do, in that order. A `report` always stands before the
 * operation that follows from it.
 */
import assert from 'node:assert/strict';
import { TaskState, type TaskStatus } from '../../../shared/wire/gen/types.ts';
import {
  isLocal,
  nextAction,
  NOTHING_ATTACHED,
  observe,
  RETRY_AFTER_MS,
  type Attached,
  type Operation,
  type Outcome,
} from './decide.ts';

export type Effect =
  /** Ask the controller, and bring its answer to `finished`. */
  | { readonly do: 'perform'; readonly operation: Operation }
  /** Cancel the operation that runs; it still comes to `finished`. */
  | { readonly do: 'cancel' }
  /** Give the controller the task as last assigned, then call `updated`. */
  | { readonly do: 'update' }
  /** Remove what the task left, then call `removed`. */
  | { readonly do: 'remove' }
  /** Tell the manager. */
  | { readonly do: 'report'; readonly status: TaskStatus }
  /** Call `retryDue` with this ticket after this time. */
  | { readonly do: 'retry'; readonly afterMs: number; readonly ticket: number }
  /** The task is over: whatever of it may still run is to end at once. */
  | { readonly do: 'terminate' }
  /** All is gone: forget the task. */
  | { readonly do: 'forget' };

type Phase =
  | 'new'
  | 'idle'
  | 'performing'
  /** An operation was cancelled and has not ended yet. */
  | 'cancelling'
  | 'updating'
  | 'retrying'
  | 'removing'
  | 'removeRetrying'
  | 'gone';

export class TaskMachine {
  #status: TaskStatus;
  #desired: TaskState;
  /** Of the task without its status: tells whether an assignment says anything new. */
  #digest: number;
  #attached: Attached;
  #phase: Phase = 'new';
  #operation: Operation = 'wait';
  #updateWaits = false;
  #removalWaits = false;
  #ticket = 0;

  constructor(start: {
    readonly status: TaskStatus;
    readonly desired: TaskState;
    readonly digest: number;
  }) {
    this.#status = start.status;
    this.#desired = start.desired;
    this.#digest = start.digest;
    const { runtimeStatus, portStatus } = start.status;
    this.#attached =
      runtimeStatus === undefined && portStatus === undefined
        ? NOTHING_ATTACHED
        : { container: runtimeStatus?.value, ports: portStatus };
  }

  get status(): TaskStatus {
    return this.#status;
  }

  get desired(): TaskState {
    return this.#desired;
  }

  /** Goes on from the stored status. */
  begin(nowMs: number): Effect[] {
    assert(this.#phase === 'new', 'a task begins once');
    const over = this.#status.state >= TaskState.COMPLETE;
    return this.#proceed(over ? [{ do: 'terminate' }] : [], nowMs);
  }

  /** Whether an assignment is taken up: not when it says nothing new, or wants less than before. */
  accepts(digest: number, desired: TaskState): boolean {
    if (this.#removalWaits || this.#phase === 'removing' || this.#phase === 'gone') return false;
    return digest !== this.#digest && desired >= this.#desired;
  }

  /** An assignment that `accepts` has let through. */
  assign(digest: number, desired: TaskState): Effect[] {
    assert(this.accepts(digest, desired), 'asked before');
    this.#digest = digest;
    this.#desired = desired;
    this.#updateWaits = true;
    return this.#interrupt();
  }

  /** The task is no longer this node's: stop it and take away what it left. */
  remove(): Effect[] {
    if (this.#removalWaits || this.#phase === 'removing' || this.#phase === 'gone') return [];
    this.#removalWaits = true;
    return this.#interrupt();
  }

  /** The operation ended. */
  finished(outcome: Outcome, attached: Attached, nowMs: number): Effect[] {
    assert(this.#phase === 'performing' || this.#phase === 'cancelling', 'no operation runs');
    this.#attached = attached;
    const cancelling = this.#phase === 'cancelling';
    const effects = this.#observed(this.#operation, outcome, nowMs);
    if (cancelling) return [...effects, ...this.#takeUp()];
    const again = outcome.kind === 'cancelled' || outcome.kind === 'temporary';
    return again ? [...effects, this.#retry('retrying')] : this.#proceed(effects, nowMs);
  }

  /** The controller has the task as last assigned. */
  updated(nowMs: number): Effect[] {
    assert(this.#phase === 'updating', 'no update runs');
    this.#phase = 'idle';
    return this.#updateWaits || this.#removalWaits ? this.#takeUp() : this.#proceed([], nowMs);
  }

  /** What the task left is gone; or, for a reason that may pass, it is not yet. */
  removed(outcome: Outcome): Effect[] {
    assert(this.#phase === 'removing', 'no removal runs');
    if (outcome.kind === 'temporary' || outcome.kind === 'cancelled') {
      return [this.#retry('removeRetrying')];
    }
    this.#phase = 'gone';
    return [{ do: 'forget' }];
  }

  /** The time of a `retry` has come. One that was overtaken does nothing. */
  retryDue(ticket: number, nowMs: number): Effect[] {
    if (ticket !== this.#ticket) return [];
    if (this.#phase === 'removeRetrying') {
      this.#phase = 'removing';
      return [{ do: 'remove' }];
    }
    return this.#phase === 'retrying' ? this.#proceed([], nowMs) : [];
  }

  /** Takes steps that need no controller until an operation is due or there is nothing to do. */
  #proceed(effects: Effect[], nowMs: number): Effect[] {
    for (;;) {
      const action = nextAction(this.#status.state, this.#desired);
      if (action === undefined) {
        this.#phase = 'idle';
        return effects;
      }
      if (!isLocal(action)) {
        this.#phase = 'performing';
        this.#operation = action;
        return [...effects, { do: 'perform', operation: action }];
      }
      const result = { outcome: { kind: 'done' }, attached: this.#attached } as const;
      this.#status = observe(this.#status, action, result, nowMs);
      effects.push({ do: 'report', status: this.#status });
    }
  }

  #observed(operation: Operation, outcome: Outcome, nowMs: number): Effect[] {
    const result = { outcome, attached: this.#attached };
    const status = observe(this.#status, operation, result, nowMs);
    if (status === this.#status) return [];
    this.#status = status;
    const failed = status.state > TaskState.SHUTDOWN;
    return failed ? [{ do: 'report', status }, { do: 'terminate' }] : [{ do: 'report', status }];
  }

  /** Something new waits: take it up now, or as soon as the running call has ended. */
  #interrupt(): Effect[] {
    if (this.#phase === 'performing') {
      this.#phase = 'cancelling';
      return [{ do: 'cancel' }];
    }
    return this.#phase === 'cancelling' || this.#phase === 'updating' ? [] : this.#takeUp();
  }

  #takeUp(): Effect[] {
    this.#ticket += 1;
    if (this.#removalWaits) {
      this.#phase = 'removing';
      return [{ do: 'remove' }];
    }
    this.#updateWaits = false;
    this.#phase = 'updating';
    return [{ do: 'update' }];
  }

  #retry(phase: 'retrying' | 'removeRetrying'): Effect {
    this.#phase = phase;
    this.#ticket += 1;
    return { do: 'retry', afterMs: RETRY_AFTER_MS, ticket: this.#ticket };
  }
}
