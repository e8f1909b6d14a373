/**
 * A level of a pool's tree: the branches for the values of one spread label. The next task goes to
 * the branch with the fewest tasks of the service among those that can take one; between branches
 * with equally many, to the one whose best node is better.
 *
 * During a search the branches stand in a queue, in order, or in a binary heap. Only the best of them
 * ever changes, by getting a task, and that only makes it worse: mostly worse than all others, so
 * that it goes to the end of the queue after one comparison. Where it does not, it goes to the heap.
 */
import type { Choice } from './choice.ts';
import type { Leaf } from './leaf.ts';

export type Branch = Leaf | Fork;

const NONE = -1;

export class Fork {
  readonly parent: Fork | undefined;
  readonly branches = new Map<string, Branch>();
  count = 0;
  /** How good the best node is, in the terms of the choice. */
  grade = 0;
  rank = 0;
  /** All branches, and how good each is: count, grade and rank. */
  #open: Branch[] = [];
  #counts = new Int32Array(0);
  #grades = new Float64Array(0);
  #ranks = new Float64Array(0);
  /** Indices of branches that can take a task, each here or in the queue. */
  #heap = new Int32Array(0);
  #size = 0;
  /** A ring: where it begins, and how many are in it. */
  #queue = new Int32Array(0);
  #head = 0;
  #queued = 0;
  /** The branch that gets the next task, or -1. */
  #best = NONE;

  constructor(parent: Fork | undefined) {
    this.parent = parent;
  }

  /** Starts a search in this branch and all below it. */
  begin(choice: Choice): void {
    this.count = 0;
    this.#size = 0;
    this.#head = 0;
    this.#queued = 0;
    this.#best = NONE;
    for (const branch of this.branches.values()) branch.begin(choice);
  }

  /** Puts the branches in order, once the marked nodes are all added and counted. */
  ready(): void {
    const branches = this.#sized();
    for (let index = 0; index < branches.length; index++) {
      const branch = branches[index];
      if (branch instanceof Fork) branch.ready();
      if (this.#look(index) && !this.#enqueue(index)) this.#heap[this.#size++] = index;
    }
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#siftDown(at);
    this.#best = this.#first();
  }

  /** The node for the next task, or -1. */
  peek(): number {
    const best = this.#open[this.#best];
    if (best === undefined) return -1;
    const node = best.peek();
    // Nothing is compared with the root.
    if (this.parent === undefined) return node;
    this.grade = best.grade;
    this.rank = best.rank;
    return node;
  }

  /** Goes on after the node last peeked was given a task. */
  advance(): void {
    const best = this.#best;
    if (best === NONE) return;
    this.count++;
    this.#open[best]?.advance();
    const isOpen = this.#look(best);
    if (this.#size > 0 && this.#heap[0] === best) {
      if (!isOpen || this.#enqueue(best)) this.#heap[0] = this.#heap[--this.#size] ?? 0;
      this.#siftDown(0);
    } else {
      this.#head = this.#after(this.#head, 1);
      this.#queued--;
      if (isOpen && !this.#enqueue(best)) this.#siftUp(best);
    }
    this.#best = this.#first();
  }

  /** The best branch of all that can take a task, or -1. */
  #first(): number {
    const front = this.#queued > 0 ? (this.#queue[this.#head] ?? NONE) : NONE;
    if (this.#size === 0) return front;
    const top = this.#heap[0] ?? NONE;
    return front !== NONE && this.#isBefore(front, top) ? front : top;
  }

  /** Puts a branch at the end of the queue, if that is where it belongs. */
  #enqueue(index: number): boolean {
    const queued = this.#queued;
    if (queued > 0) {
      const last = this.#queue[this.#after(this.#head, queued - 1)] ?? 0;
      if (this.#isBefore(index, last)) return false;
    }
    this.#queue[this.#after(this.#head, queued)] = index;
    this.#queued = queued + 1;
    return true;
  }

  /** A place of the ring, so many after another. */
  #after(place: number, count: number): number {
    const after = place + count;
    return after < this.#queue.length ? after : after - this.#queue.length;
  }

  /** All branches, with room for what is known of each. */
  #sized(): readonly Branch[] {
    if (this.#open.length !== this.branches.size) {
      this.#open = [...this.branches.values()];
      this.#counts = new Int32Array(this.#open.length);
      this.#grades = new Float64Array(this.#open.length);
      this.#ranks = new Float64Array(this.#open.length);
      this.#heap = new Int32Array(this.#open.length);
      this.#queue = new Int32Array(this.#open.length);
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

  /** Adds a branch to the heap. */
  #siftUp(index: number): void {
    const heap = this.#heap;
    let at = this.#size++;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = heap[above] ?? 0;
      if (!this.#isBefore(index, other)) break;
      heap[at] = other;
      at = above;
    }
    heap[at] = index;
  }

  #siftDown(start: number): void {
    const heap = this.#heap;
    const size = this.#size;
    if (start >= size) return;
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
