/** Finds nodes for the waiting tasks of a shape, one task at a time, each on the best node there is. */
import type { GenericClaim } from '../../../shared/lanes/placement.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { Choice } from './choice.ts';
import type { FailureLog } from './failure-log.ts';
import { firstFailure, hasLeft, PASSES } from './filters.ts';
import { Fork, type Branch } from './fork.ts';
import { newPlace } from './ladder.ts';
import { Leaf } from './leaf.ts';
import type { NodeTable } from './node-table.ts';
import { Picks } from './picks.ts';
import type { Pool } from './pool.ts';
import type { Pools } from './pools.ts';
import type { Shapes } from './shapes.ts';
import type { Tally } from './tally.ts';

export class Search {
  readonly #nodes: NodeTable;
  readonly #pools: Pools;
  readonly #shapes: Shapes;
  readonly #tally: Tally;
  readonly #failures: FailureLog;
  readonly #choice: Choice;
  readonly #picks = new Picks();
  /** Where the last search looked, while it may go on; and the version of the nodes after it. */
  #pool: Pool | undefined;
  #version = -1;
  /** Where the last lone task was looked for, and the version of the nodes after it. */
  #loneProfile: CompiledProfile | undefined;
  #loneIn: Pool | undefined;
  #loneVersion = -1;
  readonly #lonePlace = newPlace();
  #loneEntry = -1;
  #loneClaims: readonly GenericClaim[] = [];

  constructor(state: {
    readonly nodes: NodeTable;
    readonly pools: Pools;
    readonly shapes: Shapes;
    readonly tally: Tally;
    readonly failures: FailureLog;
  }) {
    this.#nodes = state.nodes;
    this.#pools = state.pools;
    this.#shapes = state.shapes;
    this.#tally = state.tally;
    this.#failures = state.failures;
    this.#choice = new Choice(state.nodes, state.tally);
  }

  /** Picks nodes for up to `limit` tasks of the shape: fewer when no node can take another. */
  run(shape: number, nowMs: number, limit: number): Picks {
    const picks = this.#picks;
    const nodes = this.#nodes;
    const profile = this.#shapes.profile(shape);
    const choice = this.#choice;
    const { root } = this.#goOn(shape, limit) ?? this.#begin(shape, { nowMs, tasks: limit });
    picks.clear();
    while (picks.length < limit) {
      const node = root.peek();
      if (node < 0) break;
      picks.add(node, choice.gain(node));
      const claims = nodes.place(node, profile);
      if (claims.length > 0) picks.claims.push(claims);
      root.advance();
    }
    this.#version = nodes.version;
    return picks;
  }

  /** Whether a task of the shape has no others to keep apart from: its service is nowhere. */
  isLone(shape: number): boolean {
    return this.#tally.first(this.#shapes.service(shape)) < 0 && !this.#failures.knows(shape);
  }

  /**
   * Picks a node for one task of a shape for which `isLone` holds: the first in the order of all
   * eligible ones, since where nothing is of the service all branches of its spread are equal. After
   * that the walk goes on behind the node for the next task with the same profile: a node that got a
   * task comes later in the order, and one that did not fit still does not.
   *
   * @returns the node, of which `loneEntry` and `loneClaims` tell more, or -1 when none can take a task
   */
  runLone(shape: number): number {
    const nodes = this.#nodes;
    const profile = this.#shapes.profile(shape);
    const pool = this.#lonePool(profile);
    const leaf = pool.onlyLeaf;
    this.#end();
    let node = leaf.ladder.next(this.#lonePlace, profile.rooms);
    for (; node >= 0; node = leaf.ladder.next(this.#lonePlace, profile.rooms)) {
      if (pool.refile(node, leaf)) continue;
      if (hasLeft(nodes, node, profile)) break;
      profile.wasted++;
      pool.refuse(node, leaf);
    }
    if (node >= 0) {
      this.#loneEntry = this.#tally.insert(this.#shapes.service(shape), node);
      this.#loneClaims = nodes.place(node, profile);
      pool.refile(node, leaf);
    }
    this.#loneVersion = nodes.version;
    return node;
  }

  /** The tally's entry that counts the last lone task. */
  get loneEntry(): number {
    return this.#loneEntry;
  }

  /** The generic resources that the last lone task gets. */
  get loneClaims(): readonly GenericClaim[] {
    return this.#loneClaims;
  }

  /** Whether some node that changed since the shape was exhausted can take a task now. */
  mayFit(shape: number): boolean {
    const { journal } = this.#nodes;
    const exhaustedAt = this.#shapes.exhaustedAt(shape);
    if (!journal.reachesBack(exhaustedAt)) return true;
    const pool = this.#pools.get(this.#shapes.profile(shape));
    for (let position = exhaustedAt; position < journal.head; position++) {
      const node = journal.nodeAt(position);
      if (node >= 0 && this.failureOf(shape, node, pool) === PASSES) return true;
    }
    return false;
  }

  /** The first filter that the node fails for one more task of the shape, or `PASSES`. */
  failureOf(shape: number, node: number, pool: Pool): number {
    const profile = this.#shapes.profile(shape);
    const hasMax = profile.replicasMax !== Infinity;
    const replicas = hasMax ? this.#tally.get(this.#shapes.service(shape), node) : 0;
    return firstFailure(this.#nodes, node, profile, { ofFacts: pool.verdictOf(node), replicas });
  }

  #begin(
    shape: number,
    { nowMs, tasks }: { readonly nowMs: number; readonly tasks: number },
  ): Pool {
    this.#end();
    const choice = this.#choice;
    const profile = this.#shapes.profile(shape);
    // The same pool to the end, even if it turns out meanwhile that another would do better.
    const pool = this.#pools.get(profile);
    choice.begin(this.#shapes.service(shape), profile, { eligible: pool.eligible, tasks });
    pool.root.begin(choice);
    for (const [node, failures] of this.#failures.tainted(shape, nowMs)) {
      choice.setTaint(node, failures);
    }
    this.#addMarked(pool);
    if (pool.root instanceof Fork) pool.root.ready();
    this.#pool = pool;
    return pool;
  }

  /**
   * The pool of the last search, if that was for tasks of the same service and profile and nothing
   * happened since: then it goes on where it stands, as if it had been asked for all tasks at once. Taint
   * is a shape's and goes by time, so a search with tainted nodes begins anew.
   */
  #goOn(shape: number, tasks: number): Pool | undefined {
    if (this.#pool === undefined || this.#version !== this.#nodes.version) return undefined;
    const choice = this.#choice;
    const isSame =
      choice.service === this.#shapes.service(shape) &&
      choice.profile === this.#shapes.profile(shape);
    if (!isSame || choice.hasTaint || this.#failures.knows(shape)) return undefined;
    choice.goOn(tasks);
    return this.#pool;
  }

  /** The last search cannot go on. */
  #end(): void {
    if (this.#pool !== undefined) this.#choice.end();
    this.#pool = undefined;
  }

  /** The pool for a lone task; the walk begins anew unless nothing happened since it was there. */
  #lonePool(profile: CompiledProfile): Pool {
    const before = this.#loneIn;
    if (
      before !== undefined &&
      this.#loneProfile === profile &&
      this.#loneVersion === this.#nodes.version
    ) {
      return before;
    }
    const pool = this.#pools.flat(profile);
    pool.onlyLeaf.ladder.start(this.#lonePlace);
    this.#loneProfile = profile;
    this.#loneIn = pool;
    return pool;
  }

  #addMarked(pool: Pool): void {
    const choice = this.#choice;
    const { marked, markedCount } = choice;
    if (pool.root instanceof Leaf && !choice.hasTaint) return;
    for (let i = markedCount - 1; i >= 0; i--) {
      const node = marked[i] ?? 0;
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
