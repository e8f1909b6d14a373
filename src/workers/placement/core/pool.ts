/**
 * The nodes that a profile finds eligible by their facts, arranged for choosing: a tree with a level
 * for each spread label, and a ladder of nodes at each leaf. Profiles that differ only in what they
 * reserve share a pool.
 *
 * A *narrow* pool is for profiles that take the same from a node, and leaves out the nodes that have
 * too little of it left: where many are full, walks need not pass them again and again.
 *
 * A pool lags behind on purpose. Nodes that got fuller are found out when a walk comes to them and
 * are filed again then; nodes that changed otherwise are read from the journal when the pool is
 * next used. So a placement costs nothing in the pools that do not take part.
 */
import assert from 'node:assert/strict';
import { subjectLabel, type ConstraintSubject } from '../../../shared/model/constraints.ts';
import { grownInt32, grownUint8 } from '../../../shared/kit/columns.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { hasLeft, PASSES, verdict } from './filters.ts';
import { Fork, type Branch } from './fork.ts';
import { Leaf } from './leaf.ts';
import type { NodeTable } from './node-table.ts';

/** What a node's leaf is when the node is unknown. */
const NOWHERE = -1;
/** What a node's rung is when the node is in no ladder. */
const UNFILED = -1;

export type PoolKind = { readonly isNarrow: boolean; readonly spread: readonly string[] };

export class Pool {
  readonly #nodes: NodeTable;
  readonly #profile: CompiledProfile;
  /** Labels to spread over, outermost first. */
  readonly #spread: readonly string[];
  readonly #isNarrow: boolean;
  /** The first filter over facts that each node fails, or `PASSES`. */
  #verdicts = new Uint8Array(0);
  /** Each node's leaf, by its index among the leaves. */
  #leafOf = new Int32Array(0);
  /** Where each node is filed in its leaf's ladder. */
  #rung = new Int32Array(0);
  #room = new Uint8Array(0);
  #root: Branch;
  #leaves: Leaf[] = [];
  #eligible = 0;
  /** The facts that verdict and leaf were made of. */
  #factsAge = new Int32Array(0);
  /** Journal position up to which the pool has read; -1 before the first time. */
  #readTo = -1;

  constructor(nodes: NodeTable, profile: CompiledProfile, how: PoolKind) {
    this.#nodes = nodes;
    this.#profile = profile;
    this.#spread = how.spread;
    this.#isNarrow = how.isNarrow;
    this.#root = this.#newBranch(undefined, 0);
  }

  get root(): Branch {
    return this.#root;
  }

  /** How many nodes may be chosen, as far as the pool knows. */
  get eligible(): number {
    return this.#eligible;
  }

  /** The leaf of a pool without spread. */
  get onlyLeaf(): Leaf {
    if (!(this.#root instanceof Leaf)) assert.fail('the pool has branches');
    return this.#root;
  }

  /** Takes in all that changed since the pool was last used. */
  sync(): void {
    const { journal } = this.#nodes;
    if (this.#readTo === journal.head) return;
    const tooFar = journal.distance(this.#readTo) > this.#nodes.size;
    if (this.#readTo < 0 || tooFar || !journal.reachesBack(this.#readTo)) this.#rebuild();
    else this.#catchUp();
    this.#readTo = journal.read();
  }

  /** The first filter over facts that a node fails, or `PASSES`; the node must be known. */
  verdictOf(node: number): number {
    return this.#verdicts[node] ?? PASSES;
  }

  /** The leaf that a known node belongs to, eligible or not. */
  leafOf(node: number): Leaf | undefined {
    return this.#leaves[this.#leafOf[node] ?? NOWHERE];
  }

  /** Whether the node may be chosen, as far as the pool knows. */
  isEligible(node: number): boolean {
    return (this.#rung[node] ?? UNFILED) !== UNFILED;
  }

  /** Files a node again if it is not where it belongs by now; true if it moved. */
  refile(node: number, leaf: Leaf): boolean {
    const rung = this.#rung[node] ?? UNFILED;
    const room = this.#room[node] ?? 0;
    const tasks = this.#nodes.activeTasks(node);
    const newRoom = this.#nodes.room(node);
    if (rung === tasks && room === newRoom) return false;
    leaf.ladder.unfile(node, rung, room);
    leaf.ladder.file(node, tasks, newRoom);
    this.#rung[node] = tasks;
    this.#room[node] = newRoom;
    return true;
  }

  /** A narrow pool leaves out a node that has too little left, until it changes. */
  refuse(node: number, leaf: Leaf): void {
    if (!this.#isNarrow) return;
    this.#unfile(node, leaf, this.#rung[node] ?? UNFILED);
  }

  #rebuild(): void {
    const { size } = this.#nodes;
    this.#leaves = [];
    this.#eligible = 0;
    this.#root = this.#newBranch(undefined, 0);
    this.#verdicts = new Uint8Array(size);
    this.#leafOf = new Int32Array(size).fill(NOWHERE);
    this.#rung = new Int32Array(size).fill(UNFILED);
    this.#room = new Uint8Array(size);
    this.#factsAge = new Int32Array(size);
    for (let node = 0; node < size; node++) this.#take(node);
  }

  #catchUp(): void {
    const { journal, size } = this.#nodes;
    this.#verdicts = grownUint8(this.#verdicts, size - 1);
    this.#leafOf = grownInt32(this.#leafOf, size - 1, NOWHERE);
    this.#rung = grownInt32(this.#rung, size - 1, UNFILED);
    this.#room = grownUint8(this.#room, size - 1);
    this.#factsAge = grownInt32(this.#factsAge, size - 1);
    for (let position = this.#readTo; position < journal.head; position++) {
      const node = journal.nodeAt(position);
      if (node >= 0) this.#take(node);
    }
  }

  /** Puts a node where it belongs, wherever it was. */
  #take(node: number): void {
    const rung = this.#rung[node] ?? UNFILED;
    const before = this.leafOf(node);
    if (rung !== UNFILED && before !== undefined) this.#unfile(node, before, rung);
    if (this.#factsAge[node] !== this.#nodes.factsAge(node)) this.#takeFacts(node);
    const leaf = this.leafOf(node);
    if (leaf === undefined || this.#verdicts[node] !== PASSES) return;
    if (this.#isNarrow && !hasLeft(this.#nodes, node, this.#profile)) return;
    if (this.#nodes.isAvailable(node)) {
      this.#file(node, leaf, this.#nodes.activeTasks(node), this.#nodes.room(node));
    }
  }

  #takeFacts(node: number): void {
    const facts = this.#nodes.facts(node);
    this.#factsAge[node] = this.#nodes.factsAge(node);
    this.#leafOf[node] = facts === undefined ? NOWHERE : this.#leafFor(facts.subject).index;
    this.#verdicts[node] = facts === undefined ? PASSES : verdict(this.#profile, facts);
  }

  #file(node: number, leaf: Leaf, tasks: number, room: number): void {
    leaf.ladder.file(node, tasks, room);
    this.#rung[node] = tasks;
    this.#room[node] = room;
    this.#eligible++;
    leaf.filed++;
  }

  #unfile(node: number, leaf: Leaf, rung: number): void {
    leaf.ladder.unfile(node, rung, this.#room[node] ?? 0);
    this.#rung[node] = UNFILED;
    this.#eligible--;
    leaf.filed--;
  }

  #leafFor(subject: ConstraintSubject): Leaf {
    let branch = this.#root;
    for (let depth = 0; branch instanceof Fork; depth++) {
      const value = subjectLabel(this.#spread[depth] ?? '', subject) ?? '';
      const next: Branch = branch.branches.get(value) ?? this.#newBranch(branch, depth + 1);
      branch.branches.set(value, next);
      branch = next;
    }
    return branch;
  }

  #newBranch(parent: Fork | undefined, depth: number): Branch {
    if (depth < this.#spread.length) return new Fork(parent);
    const leaf = new Leaf(this, parent, this.#leaves.length);
    this.#leaves.push(leaf);
    return leaf;
  }
}
