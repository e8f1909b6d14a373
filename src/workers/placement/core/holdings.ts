/** Tasks on nodes: everything that changes together when one comes, stops counting, or goes. */
import type { GenericClaim } from '../../../shared/lanes/placement.ts';
import type { NodeTable } from './node-table.ts';
import type { Shapes } from './shapes.ts';
import type { Tally } from './tally.ts';
import type { TaskTable } from './task-table.ts';

const NOT_COUNTED = -1;
const NO_CLAIMS: readonly GenericClaim[] = [];

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
    const shape = this.#tasks.shape(task);
    this.#nodes.hold(node, this.#shapes.profile(shape), claims);
    this.claim(task, claims);
    const entry = isActive ? this.#tally.count(this.#shapes.service(shape), node) : NOT_COUNTED;
    this.#tasks.hold(task, node, entry);
    if (isActive) this.#nodes.activate(node);
  }

  /** A task with a given node, which was just found fit. @returns the generic resources it gets */
  confirm(task: number, node: number): readonly GenericClaim[] {
    const shape = this.#tasks.shape(task);
    const claims = this.#nodes.place(node, this.#shapes.profile(shape));
    this.claim(task, claims);
    this.#tasks.hold(task, node, this.#tally.count(this.#shapes.service(shape), node));
    return claims;
  }

  /** The task has these generic resources. */
  claim(task: number, claims: readonly GenericClaim[]): void {
    if (claims.length > 0) this.#claims.set(task, claims);
  }

  /** The task is no longer meant to run. */
  deactivate(task: number): void {
    if (!this.#tasks.isActive(task)) return;
    this.#tasks.deactivate(task);
    this.#nodes.deactivate(this.#tasks.node(task));
    this.#tally.add(this.#tasks.entry(task), -1);
  }

  /** The task holds nothing any more. */
  release(task: number): void {
    this.deactivate(task);
    const profile = this.#shapes.profile(this.#tasks.shape(task));
    this.#nodes.release(this.#tasks.node(task), profile, this.#takeClaims(task));
  }

  #takeClaims(task: number): readonly GenericClaim[] {
    if (this.#claims.size === 0) return NO_CLAIMS;
    const claims = this.#claims.get(task);
    if (claims === undefined) return NO_CLAIMS;
    this.#claims.delete(task);
    return claims;
  }
}
