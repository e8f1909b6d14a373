/**
 * One search for nodes for the tasks of one shape: what the branches of a pool need to know while it
 * lasts. It gathers what the service has on each node and which nodes are tainted for the shape, and
 * says how good a node is and whether it may be given one more task.
 *
 * The node order, best first: fewer failures, if either node is tainted; fewer active tasks of the
 * service; fewer active tasks; more room; lower number.
 */
import { grownInt32 } from '../../../shared/kit/columns.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { hasLeft } from './filters.ts';
import type { Filing } from './leaf.ts';
import { NODES_MAX, type NodeTable } from './node-table.ts';
import { ROOMS } from './room.ts';
import type { Tally } from './tally.ts';

/** What it costs to come to a node along the ladder, in the time in which one is listed and sorted. */
const PASSING_COST = 3;

/** Above every number of replicas. */
const REPLICAS_MAX = 2 ** 31;

export class Choice {
  readonly nodes: NodeTable;
  readonly #tally: Tally;
  #service = -1;
  #profile: CompiledProfile | undefined;
  /** Nodes for which all columns have room. */
  #room = 0;
  /** For each node the active tasks of the service, during the search, otherwise 0; and the tally's entry of them. */
  #counted = new Int32Array(0);
  /** Failures on each tainted node, during the search; otherwise 0. */
  #taint = new Int32Array(0);
  #links = new Int32Array(0);
  /** How many eligible nodes without taint have, or had in this search, so many replicas. */
  #levels = new Int32Array(16);
  /** Above every number of replicas that is counted there. */
  #levelsEnd = 0;
  /** How many nodes the level has that was found last. */
  #levelNodes = 0;
  /** Nodes that may be chosen at all, and tasks that are still to be placed: about. */
  #eligible = 0;
  #left = 0;
  /** A node is marked once at most. */
  #marked = new Int32Array(0);
  #markedCount = 0;
  /** How many of them had tasks of the service when the search began. */
  #before = 0;
  #hasTaint = false;

  constructor(nodes: NodeTable, tally: Tally) {
    this.nodes = nodes;
    this.#tally = tally;
  }

  get service(): number {
    return this.#service;
  }

  get profile(): CompiledProfile {
    if (this.#profile === undefined) throw new Error('no search is under way');
    return this.#profile;
  }

  /** For each node the next one on its list; the lists are their owners'. */
  get links(): Int32Array {
    return this.#links;
  }

  /** @param of how many nodes are eligible, and how many tasks want one */
  begin(
    service: number,
    profile: CompiledProfile,
    of: { readonly eligible: number; readonly tasks: number },
  ): void {
    this.#service = service;
    this.#profile = profile;
    this.#eligible = of.eligible;
    this.#left = of.tasks;
    const { size } = this.nodes;
    if (size > this.#room) this.#grow(size);
    this.#before = this.#tally.nodes(service);
    this.#markedCount = this.#before;
    this.#tally.list(service, this.#marked, this.#counted);
  }

  /** Goes on with the search that was not ended, for so many tasks more. */
  goOn(tasks: number): void {
    this.#left = tasks;
  }

  end(): void {
    const marked = this.#marked;
    const count = this.#markedCount;
    const counted = this.#counted;
    for (let i = 0; i < count; i++) counted[2 * marked[i]!] = 0;
    if (this.#hasTaint) for (let i = 0; i < count; i++) this.#taint[marked[i] ?? 0] = 0;
    this.#hasTaint = false;
    this.#markedCount = 0;
    this.#levels.fill(0, 0, this.#levelsEnd);
    this.#levelsEnd = 0;
    this.#profile = undefined;
  }

  /** The nodes on which the service has, or got, a task, and those that are tainted. */
  get marked(): Int32Array {
    return this.#marked;
  }

  /** How many nodes are marked. */
  get markedCount(): number {
    return this.#markedCount;
  }

  get hasTaint(): boolean {
    return this.#hasTaint;
  }

  setTaint(node: number, failures: number): void {
    if (this.replicas(node) === 0) this.#marked[this.#markedCount++] = node;
    this.#taint[node] = failures;
    this.#hasTaint = true;
  }

  /** Counts one more task of the service on the node. @returns the tally's entry */
  gain(node: number): number {
    const counted = this.#counted;
    const replicas = counted[2 * node]!;
    let entry = counted[2 * node + 1]!;
    this.#left--;
    if (replicas === 0) {
      if (this.taint(node) === 0) this.#marked[this.#markedCount++] = node;
      entry = this.#tally.insert(this.#service, node);
      counted[2 * node + 1] = entry;
    } else {
      this.#tally.add(entry, 1);
    }
    counted[2 * node] = replicas + 1;
    return entry;
  }

  replicas(node: number): number {
    return this.#counted[2 * node] ?? 0;
  }

  taint(node: number): number {
    return this.#hasTaint ? (this.#taint[node] ?? 0) : 0;
  }

  /**
   * Counts the levels as they were before the search; to be called once, while it has given plain nodes only.
   *
   * @returns how many eligible nodes without taint have replicas
   */
  countLevels(filing: Pick<Filing, 'isEligible'>): number {
    const marked = this.#marked;
    let counted = 0;
    // Most are of one level: it is counted once for all that come in a row.
    let level = 0;
    let inRow = 0;
    for (let i = 0; i < this.#before; i++) {
      const node = marked[i]!;
      if (!filing.isEligible(node) || this.taint(node) !== 0) continue;
      counted++;
      const replicas = this.replicas(node);
      if (replicas !== level) {
        this.countLevel(level, inRow);
        level = replicas;
        inRow = 0;
      }
      inRow++;
    }
    this.countLevel(level, inRow);
    return counted;
  }

  /** So many nodes more have so many replicas. They stay counted where they were: that level is done with. */
  countLevel(replicas: number, nodes: number): void {
    if (replicas >= this.#levelsEnd) {
      this.#levelsEnd = replicas + 1;
      this.#levels = grownInt32(this.#levels, replicas);
    }
    this.#levels[replicas]! += nodes;
  }

  /**
   * The least number of replicas, from the given one on, that an eligible node without taint has; or -1.
   * The levels are counted, with all nodes that were given.
   */
  nextLevel(from: number): number {
    for (let replicas = from; replicas < this.#levelsEnd; replicas++) {
      this.#levelNodes = this.#levels[replicas] ?? 0;
      if (this.#levelNodes > 0) return replicas;
    }
    return -1;
  }

  /** How many nodes the level has that `nextLevel` found. */
  get levelNodes(): number {
    return this.#levelNodes;
  }

  /**
   * Whether to look for the nodes of the level that `nextLevel` found among all: that costs a step for
   * each node passed until all tasks have one, while a list costs a step for each node on it.
   */
  get isDense(): boolean {
    const nodes = this.#levelNodes;
    const wanted = Math.min(this.#left, nodes);
    return wanted * this.#eligible * PASSING_COST < nodes * nodes;
  }

  /** Whether an eligible node may be given one more task of the shape. */
  allows(node: number, profile: CompiledProfile): boolean {
    return this.replicas(node) < profile.replicasMax && hasLeft(this.nodes, node, profile);
  }

  /** The first part of the node order: taint and replicas, lower is better. */
  grade(node: number): number {
    return this.taint(node) * REPLICAS_MAX + this.replicas(node);
  }

  /** Orders nodes of equal grade; lower is better. */
  rank(node: number): number {
    const { nodes } = this;
    return (nodes.activeTasks(node) * ROOMS + ROOMS - 1 - nodes.room(node)) * NODES_MAX + node;
  }

  /** The node that a rank belongs to. */
  static nodeOf(rank: number): number {
    return rank - Math.floor(rank / NODES_MAX) * NODES_MAX;
  }

  #grow(size: number): void {
    this.#room = size + (size >> 2);
    this.#counted = grownInt32(this.#counted, 2 * this.#room - 1);
    this.#taint = grownInt32(this.#taint, this.#room - 1);
    this.#links = grownInt32(this.#links, this.#room - 1);
    this.#marked = grownInt32(this.#marked, this.#room - 1);
  }
}
