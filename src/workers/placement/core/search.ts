/** Finds nodes for the waiting tasks of a shape, one task at a time, each on the best node there is. */
import { firstFailure, PASSES } from './filters.ts';
import { Choice } from './choice.ts';
import type { FailureLog } from './failure-log.ts';
import { Fork, type Branch } from './fork.ts';
import type { NodeTable } from './node-table.ts';
import type { Pool } from './pool.ts';
import type { Pools } from './pools.ts';
import type { Shape } from './shapes.ts';
import type { Tally } from './tally.ts';

/** How a search is to go. */
export type Placing = {
  readonly nowMs: number;
  readonly limit: number;
  /** Puts a task of the shape on the node. */
  readonly placeOn: (node: number, shape: Shape) => void;
};

export class Search {
  readonly #nodes: NodeTable;
  readonly #pools: Pools;
  readonly #tally: Tally;
  readonly #failures: FailureLog;
  readonly #choice: Choice;

  constructor(state: {
    readonly nodes: NodeTable;
    readonly pools: Pools;
    readonly tally: Tally;
    readonly failures: FailureLog;
  }) {
    this.#nodes = state.nodes;
    this.#pools = state.pools;
    this.#tally = state.tally;
    this.#failures = state.failures;
    this.#choice = new Choice(state.nodes);
  }

  /**
   * Places up to `limit` tasks of the shape.
   *
   * @returns how many were placed; fewer than `limit` when no node can take another
   */
  run(shape: Shape, { nowMs, limit, placeOn }: Placing): number {
    const pool = this.#pools.get(shape.profile);
    const choice = this.#choice;
    const root = pool.root;
    choice.begin(shape.profile);
    root.begin(choice);
    this.#mark(shape, nowMs);
    this.#addMarked(pool);
    if (root instanceof Fork) root.ready();
    let placed = 0;
    for (; placed < limit; placed++) {
      const node = root.peek();
      if (node < 0) break;
      placeOn(node, shape);
      choice.setReplicas(node, choice.replicas(node) + 1);
      root.advance();
    }
    choice.end();
    return placed;
  }

  /** Whether some node that changed since the shape was exhausted can take a task now. */
  mayFit(shape: Shape): boolean {
    const { journal } = this.#nodes;
    if (!journal.reachesBack(shape.exhaustedAt)) return true;
    const pool = this.#pools.get(shape.profile);
    for (let position = shape.exhaustedAt; position < journal.head; position++) {
      const node = journal.nodeAt(position);
      if (node >= 0 && this.failureOf(shape, node, pool) === PASSES) return true;
    }
    return false;
  }

  /** The first filter that the node fails for one more task of the shape, or `PASSES`. */
  failureOf(shape: Shape, node: number, pool: Pool): number {
    const replicas = this.#tally.get(shape.service, node);
    const ofFacts = pool.verdictOf(node);
    return firstFailure(this.#nodes, node, shape.profile, { ofFacts, replicas });
  }

  #mark(shape: Shape, nowMs: number): void {
    let entry = this.#tally.first(shape.service);
    for (; entry >= 0; entry = this.#tally.next(entry)) {
      this.#choice.setReplicas(this.#tally.nodeAt(entry), this.#tally.countAt(entry));
    }
    for (const [node, failures] of this.#failures.tainted(shape.number, nowMs)) {
      this.#choice.setTaint(node, failures);
    }
  }

  #addMarked(pool: Pool): void {
    const choice = this.#choice;
    for (const node of choice.marked) {
      const leaf = pool.leafOf(node);
      if (leaf === undefined) continue;
      addToBranches(leaf, choice.replicas(node));
      if (pool.isEligible(node)) leaf.addMarked(node, choice);
    }
  }
}

/** Counts tasks in a branch and in all that it is part of. */
function addToBranches(branch: Branch, tasks: number): void {
  let counted: Branch['parent'] | Branch = branch;
  while (counted !== undefined) {
    counted.count += tasks;
    counted = counted.parent;
  }
}
