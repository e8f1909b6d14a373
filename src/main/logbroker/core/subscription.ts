/**
 * One client's wish to read logs: which nodes hold what it asked for, and when it has all of it
 * (behaviour chapter 10, log broker). Pure: it is told what tasks and nodes do.
 */
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { LogSelector } from '../../../shared/wire/gen/logbroker.ts';

/** What counts of a task here. */
export type LogTask = {
  readonly id: string;
  readonly serviceId: string;
  readonly nodeId: string;
  readonly state: TaskState;
};

export class Subscription {
  readonly #selector: LogSelector;
  readonly follow: boolean;
  /** Nodes asked, and whether each has sent all it had. */
  readonly #nodes = new Map<string, 'asked' | 'done'>();
  readonly #warnings = new Set<string>();

  constructor(selector: LogSelector, follow: boolean) {
    this.#selector = selector;
    this.follow = follow;
  }

  #wants(task: LogTask): boolean {
    const { serviceIds, nodeIds, taskIds } = this.#selector;
    return (
      taskIds.includes(task.id) ||
      (task.serviceId !== '' && serviceIds.includes(task.serviceId)) ||
      (task.nodeId !== '' && nodeIds.includes(task.nodeId))
    );
  }

  /**
   * Looks at a task. Gives the node that must be asked because of it, if that is a new one.
   * Without follow, tasks of a service that never ran have no logs to wait for.
   */
  consider(task: LogTask): string | undefined {
    if (!this.#wants(task)) return undefined;
    const named = this.#selector.taskIds.includes(task.id);
    if (task.nodeId === '') {
      if (named && !this.follow) this.#warnings.add(`task ${task.id} has not been scheduled`);
      return undefined;
    }
    if (!this.follow && !named && task.state < TaskState.RUNNING) return undefined;
    return this.ask(task.nodeId);
  }

  /** Adds a node; undefined when it was asked before. */
  ask(nodeId: string): string | undefined {
    if (this.#nodes.has(nodeId)) return undefined;
    this.#nodes.set(nodeId, 'asked');
    return nodeId;
  }

  /** Whether a node that listens anew must be asked (again): one that is through would repeat itself. */
  concerns(nodeId: string): boolean {
    return this.follow ? this.#nodes.has(nodeId) : this.#nodes.get(nodeId) === 'asked';
  }

  /** A node has sent all it had. */
  finish(nodeId: string): void {
    if (this.#nodes.has(nodeId)) this.#nodes.set(nodeId, 'done');
  }

  /** A node can't send what it has. While following it may come back. */
  miss(nodeId: string, why: 'is not available' | 'disconnected unexpectedly'): void {
    if (this.follow || this.#nodes.get(nodeId) !== 'asked') return;
    this.#nodes.set(nodeId, 'done');
    this.#warnings.add(`node ${nodeId} ${why}`);
  }

  get complete(): boolean {
    return !this.follow && [...this.#nodes.values()].every((state) => state === 'done');
  }

  get nodes(): Iterable<string> {
    return this.#nodes.keys();
  }

  /** What is missing from the logs, in one text; undefined when nothing is. */
  get warning(): string | undefined {
    if (this.#warnings.size === 0) return undefined;
    const reasons = [...this.#warnings].join(', ');
    return `warning: incomplete log stream. some logs could not be retrieved for the following reasons: ${reasons}`;
  }
}
