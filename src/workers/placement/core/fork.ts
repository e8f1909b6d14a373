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
  readonly #heap: Branch[] = [];
  #choice: Choice | undefined;

  constructor(parent: Fork | undefined) {
    this.parent = parent;
  }

  /** Starts a search in this branch and all below it. */
  begin(choice: Choice): void {
    this.#choice = choice;
    this.count = 0;
    this.#heap.length = 0;
    for (const branch of this.branches.values()) branch.begin(choice);
  }

  /** Builds the heaps, once the marked nodes are all added and counted. */
  ready(): void {
    for (const branch of this.branches.values()) {
      if (branch instanceof Fork) branch.ready();
      if (branch.peek() >= 0) this.#heap.push(branch);
    }
    for (let at = (this.#heap.length >> 1) - 1; at >= 0; at--) this.#siftDown(at);
  }

  /** The node for the next task, or -1. */
  peek(): number {
    return this.#heap[0]?.peek() ?? -1;
  }

  /** Goes on after the node last peeked was given a task. */
  advance(): void {
    const top = this.#heap[0];
    if (top === undefined) return;
    this.count++;
    top.advance();
    if (top.peek() < 0) {
      const last = this.#heap.pop();
      if (last === undefined || this.#heap.length === 0) return;
      this.#heap[0] = last;
    }
    this.#siftDown(0);
  }

  #siftDown(start: number): void {
    const heap = this.#heap;
    const moving = heap[start];
    if (moving === undefined) return;
    let at = start;
    for (;;) {
      const child = this.#betterChild(at);
      const branch = heap[child];
      if (branch === undefined || !this.#isBefore(branch, moving)) break;
      heap[at] = branch;
      at = child;
    }
    heap[at] = moving;
  }

  #betterChild(at: number): number {
    const left = this.#heap[2 * at + 1];
    const right = this.#heap[2 * at + 2];
    if (left === undefined || right === undefined) return 2 * at + 1;
    return this.#isBefore(right, left) ? 2 * at + 2 : 2 * at + 1;
  }

  #isBefore(branch: Branch, other: Branch): boolean {
    if (branch.count !== other.count) return branch.count < other.count;
    return this.#choice?.isBetter(branch.peek(), other.peek()) ?? false;
  }
}
