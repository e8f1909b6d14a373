/**
 * A level of a pool's tree: the branches for the values of one spread label. The next task goes to
 * the branch with the fewest tasks of the service among those that can take one; between branches
 * with equally many, to the one whose best node is better.
 *
 * During a search the branches stand in a binary heap. Only the branch on top ever changes, by
 * getting a task, and that only moves it down.
 */
import type { Choice } from './choice.ts';
import type { Leaf } from './leaf.ts';

export type Branch = Leaf | Fork;

export class Fork {
  readonly parent: Fork | undefined;
  readonly branches = new Map<string, Branch>();
  count = 0;
  /** How good the best node is, in the terms of the choice. */
  grade = 0;
  rank = 0;
  /** The branches in the order of this search, and how good each is: count, grade and rank. */
  #open: Branch[] = [];
  #counts = new Int32Array(0);
  #grades = new Float64Array(0);
  #ranks = new Float64Array(0);
  /** Indices of branches that can take a task. */
  #heap = new Int32Array(0);
  #size = 0;

  constructor(parent: Fork | undefined) {
    this.parent = parent;
  }

  /** Starts a search in this branch and all below it. */
  begin(choice: Choice): void {
    this.count = 0;
    this.#size = 0;
    for (const branch of this.branches.values()) branch.begin(choice);
  }

  /** Builds the heaps, once the marked nodes are all added and counted. */
  ready(): void {
    const branches = this.#sized();
    for (let index = 0; index < branches.length; index++) {
      const branch = branches[index];
      if (branch instanceof Fork) branch.ready();
      if (this.#look(index)) this.#heap[this.#size++] = index;
    }
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#siftDown(at);
  }

  /** The node for the next task, or -1. */
  peek(): number {
    const top = this.#size > 0 ? this.#open[this.#heap[0] ?? 0] : undefined;
    if (top === undefined) return -1;
    const node = top.peek();
    // Nothing is compared with the root.
    if (this.parent === undefined) return node;
    this.grade = top.grade;
    this.rank = top.rank;
    return node;
  }

  /** Goes on after the node last peeked was given a task. */
  advance(): void {
    const top = this.#heap[0] ?? 0;
    if (this.#size === 0) return;
    this.count++;
    this.#open[top]?.advance();
    if (!this.#look(top)) {
      this.#size--;
      if (this.#size === 0) return;
      this.#heap[0] = this.#heap[this.#size] ?? 0;
    }
    this.#siftDown(0);
  }

  /** All branches, with room for what is known of each. */
  #sized(): readonly Branch[] {
    if (this.#open.length !== this.branches.size) {
      this.#open = [...this.branches.values()];
      this.#counts = new Int32Array(this.#open.length);
      this.#grades = new Float64Array(this.#open.length);
      this.#ranks = new Float64Array(this.#open.length);
      this.#heap = new Int32Array(this.#open.length);
    }
    return this.#open;
  }

  /** Takes in how good a branch is; false if it can take no task. */
  #look(index: number): boolean {
    const branch = this.#open[index];
    if (branch === undefined || branch.peek() < 0) return false;
    this.#counts[index] = branch.count;
    this.#grades[index] = branch.grade;
    this.#ranks[index] = branch.rank;
    return true;
  }

  #siftDown(start: number): void {
    const heap = this.#heap;
    const size = this.#size;
    const moving = heap[start] ?? 0;
    let at = start;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= size) break;
      let index = heap[child] ?? 0;
      const other = child + 1 < size ? (heap[child + 1] ?? 0) : index;
      if (other !== index && this.#isBefore(other, index)) {
        child++;
        index = other;
      }
      if (!this.#isBefore(index, moving)) break;
      heap[at] = index;
      at = child;
    }
    heap[at] = moving;
  }

  /** Whether a branch is to get a task before another; both were looked at. */
  #isBefore(index: number, other: number): boolean {
    const count = (this.#counts[index] ?? 0) - (this.#counts[other] ?? 0);
    if (count !== 0) return count < 0;
    const grade = (this.#grades[index] ?? 0) - (this.#grades[other] ?? 0);
    if (grade !== 0) return grade < 0;
    return (this.#ranks[index] ?? 0) < (this.#ranks[other] ?? 0);
  }
}
