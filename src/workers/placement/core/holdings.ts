/** Tasks on nodes: everything that changes together when one comes, stops counting, or goes. */
import type { GenericClaim } from '../../../shared/lanes/placement.ts';
import type { NodeTable } from './node-table.ts';
import type { Shape, Shapes } from './shapes.ts';
import type { Tally } from './tally.ts';
import type { TaskTable } from './task-table.ts';

export class Holdings {
  readonly #nodes: NodeTable;
  readonly #tasks: TaskTable;
  readonly #shapes: Shapes;
  readonly #tally: Tally;
  /** Generic resources by task, for those that have any. */
  readonly #claims = new Map<number, readonly GenericClaim[]>();

  constructor(state: {
    readonly nodes: NodeTable;
    readonly tasks: TaskTable;
    readonly shapes: Shapes;
    readonly tally: Tally;
  }) {
    this.#nodes = state.nodes;
    this.#tasks = state.tasks;
    this.#shapes = state.shapes;
    this.#tally = state.tally;
  }

  /** A task that is on a node already. */
  restore(task: number, node: number, isActive: boolean, claims: readonly GenericClaim[]): void {
    const shape = this.#shapes.get(this.#tasks.shape(task));
    this.#nodes.hold(node, shape.profile, claims);
    if (claims.length > 0) this.#claims.set(task, claims);
    this.#tasks.hold(task, node, isActive);
    if (isActive) this.#activate(shape, node);
  }

  /** A task for which the node was just found fit. @returns the generic resources it gets */
  place(task: number, node: number, shape: Shape): readonly GenericClaim[] {
    const claims = this.#nodes.place(node, shape.profile);
    if (claims.length > 0) this.#claims.set(task, claims);
    this.#tasks.hold(task, node, true);
    this.#activate(shape, node);
    return claims;
  }

  /** The task is no longer meant to run. */
  deactivate(task: number): void {
    if (!this.#tasks.isActive(task)) return;
    this.#tasks.deactivate(task);
    const node = this.#tasks.node(task);
    const { service } = this.#shapes.get(this.#tasks.shape(task));
    this.#nodes.deactivate(node);
    this.#tally.add(service, node, -1);
  }

  /** The task holds nothing any more. */
  release(task: number): void {
    this.deactivate(task);
    const { profile } = this.#shapes.get(this.#tasks.shape(task));
    const claims = this.#claims.get(task);
    if (claims !== undefined) this.#claims.delete(task);
    this.#nodes.release(this.#tasks.node(task), profile, claims ?? []);
  }

  #activate(shape: Shape, node: number): void {
    this.#nodes.activate(node);
    this.#tally.add(shape.service, node, 1);
  }
}
