/**
 * The shell of one task's machine: asks its controller, brings back the answers, and carries out what
 * the machine says. Kept small in memory: it holds no task, only what its controller needs of one.
 */
import type { Task } from '../../shared/wire/gen/objects.ts';
import type { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { NOTHING_ATTACHED, type Attached, type Operation, type Outcome } from './core/decide.ts';
import type { TaskMachine, Effect } from './core/task-machine.ts';
import { Cancellation } from './executors/cancellation.ts';
import { outcomeOf } from './executors/errors.ts';
import type { Controller, ExecutorLog } from './executors/executor.ts';
import type { Clock } from './executors/simulated/executor.ts';

/** What all runners of an engine share. */
export type RunnerHost = {
  readonly clock: Clock;
  readonly log: ExecutorLog;
  readonly report: (taskId: string, status: TaskStatus) => void;
  readonly forget: (taskId: string) => void;
};

const DONE: Outcome = { kind: 'done' };

export class TaskRunner {
  readonly taskId: string;
  readonly serviceId: string;
  readonly controller: Controller;
  readonly #host: RunnerHost;
  readonly #machine: TaskMachine;
  #cancellation: Cancellation | undefined;
  /** The assignment that the controller is to be told of. */
  #assigned: Task | undefined;

  constructor(host: RunnerHost, task: Task, controller: Controller, machine: TaskMachine) {
    this.#host = host;
    this.taskId = task.id;
    this.serviceId = task.serviceId;
    this.controller = controller;
    this.#machine = machine;
  }

  get status(): TaskStatus {
    return this.#machine.status;
  }

  begin(): void {
    this.#obey(this.#machine.begin(this.#host.clock.nowMs()));
  }

  accepts(digest: number, desired: TaskState): boolean {
    return this.#machine.accepts(digest, desired);
  }

  assign(task: Task, digest: number): void {
    this.#assigned = task;
    this.#obey(this.#machine.assign(digest, task.desiredState));
  }

  remove(): void {
    this.#obey(this.#machine.remove());
  }

  /** The engine ends, the task does not. */
  close(): void {
    this.#cancellation?.cancel();
    this.controller.close();
  }

  #obey(effects: readonly Effect[]): void {
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: Effect): void {
    const { clock, report, forget } = this.#host;
    switch (effect.do) {
      case 'perform':
        this.#perform(effect.operation);
        break;
      case 'cancel':
        this.#cancellation?.cancel();
        break;
      case 'update':
        this.#update();
        break;
      case 'remove':
        this.controller.remove().then(
          () => this.#obey(this.#machine.removed(DONE)),
          (error: unknown) => this.#removalFailed(outcomeOf(error)),
        );
        break;
      case 'report':
        report(this.taskId, effect.status);
        break;
      case 'retry':
        clock.agenda.at(clock.nowMs() + effect.afterMs, () =>
          this.#obey(this.#machine.retryDue(effect.ticket, clock.nowMs())),
        );
        break;
      case 'terminate':
        this.controller
          .terminate()
          .catch((error: unknown) => this.#warn('a task that is over could not be ended', error));
        break;
      case 'forget':
        this.controller.close();
        forget(this.taskId);
        break;
    }
  }

  #perform(operation: Operation): void {
    const cancellation = new Cancellation();
    this.#cancellation = cancellation;
    this.controller[operation](cancellation).then(
      () => this.#finish(DONE),
      (error: unknown) => this.#finish(outcomeOf(error)),
    );
  }

  /** Takes the container's and ports' status along; without it when the executor cannot say. */
  #finish(outcome: Outcome): void {
    this.#cancellation = undefined;
    const { controller } = this;
    Promise.all([controller.containerStatus(), controller.portStatus()]).then(
      ([container, ports]) => this.#finished(outcome, { container, ports }),
      (error: unknown) => {
        this.#warn('the container’s status could not be read', error);
        this.#finished(outcome, NOTHING_ATTACHED);
      },
    );
  }

  #finished(outcome: Outcome, attached: Attached): void {
    this.#obey(this.#machine.finished(outcome, attached, this.#host.clock.nowMs()));
  }

  #update(): void {
    const task = this.#assigned;
    this.#assigned = undefined;
    const updated = (): void => this.#obey(this.#machine.updated(this.#host.clock.nowMs()));
    if (task === undefined) {
      updated();
      return;
    }
    this.controller.update(task).then(updated, (error: unknown) => {
      this.#warn('a controller could not be updated', error);
      updated();
    });
  }

  #removalFailed(outcome: Outcome): void {
    if (outcome.kind === 'fatal') this.#warn('a removed task left something behind', outcome.text);
    this.#obey(this.#machine.removed(outcome));
  }

  #warn(text: string, error: unknown): void {
    this.#host.log.warn({ taskId: this.taskId, error: String(error) }, text);
  }
}
