/**
 * The tasks as columns: where each is in its way through here, its shape, its node, and its place in
 * the queue it waits in. A queue is a chain through the columns, so a task leaves it from anywhere.
 */
import assert from 'node:assert/strict';
import { grownFloat64, grownInt32, grownUint8 } from '../../../shared/kit/columns.ts';

export const TASK = {
  /** Not known here. */
  none: 0,
  /** Waits for a node. */
  waiting: 1,
  /** Has a node, and waits until it can take the task. */
  confirming: 2,
  /** Is on its node. */
  held: 3,
} as const;

/** Tasks in the order in which they came. */
export type TaskQueue = { first: number; last: number; length: number };

const NONE = -1;

export function newQueue(): TaskQueue {
  return { first: NONE, last: NONE, length: 0 };
}

/** The task is meant to run, and counts on its node. */
const ACTIVE = 1;
/** Its node was chosen here, so its failures speak of the node. */
const CHOSEN = 2;
/** Its node was given. */
const PRESET = 4;

export class TaskTable {
  #state = new Uint8Array(64);
  #flags = new Uint8Array(64);
  #shape = new Int32Array(64);
  #node = new Int32Array(64);
  #next = new Int32Array(64);
  #previous = new Int32Array(64);
  /** What the user was last told about the task, in the explainer's terms; 0 nothing. */
  #told = new Int32Array(64);
  /** Journal position at which the task's own node was last asked; -1 never. */
  #askedAt = new Float64Array(64);

  /** Takes in a task that is not known. */
  enter(task: number, shape: number, node: number): void {
    assert.ok(task >= 0, `task number ${task} is out of range`);
    if (task >= this.#state.length) this.#grow(task);
    assert.equal(this.#state[task], TASK.none, `task ${task} is known already`);
    this.#flags[task] = node === NONE ? 0 : PRESET;
    this.#shape[task] = shape;
    this.#node[task] = node;
    this.#told[task] = 0;
    this.#askedAt[task] = -1;
  }

  state(task: number): number {
    return this.#state[task] ?? TASK.none;
  }

  shape(task: number): number {
    return this.#shape[task] ?? NONE;
  }

  /** The node that the task is on or is meant for, or -1. */
  node(task: number): number {
    return this.#node[task] ?? NONE;
  }

  isActive(task: number): boolean {
    return ((this.#flags[task] ?? 0) & ACTIVE) !== 0;
  }

  isChosen(task: number): boolean {
    return ((this.#flags[task] ?? 0) & CHOSEN) !== 0;
  }

  isPreset(task: number): boolean {
    return ((this.#flags[task] ?? 0) & PRESET) !== 0;
  }

  told(task: number): number {
    return this.#told[task] ?? 0;
  }

  setTold(task: number, told: number): void {
    this.#told[task] = told;
  }

  askedAt(task: number): number {
    return this.#askedAt[task] ?? NONE;
  }

  setAskedAt(task: number, position: number): void {
    this.#askedAt[task] = position;
  }

  /** Puts the task on a node. */
  hold(task: number, node: number, isActive: boolean): void {
    const preset = (this.#flags[task] ?? 0) & PRESET;
    this.#state[task] = TASK.held;
    this.#node[task] = node;
    this.#flags[task] = preset | (preset === 0 ? CHOSEN : 0) | (isActive ? ACTIVE : 0);
  }

  deactivate(task: number): void {
    this.#flags[task] = (this.#flags[task] ?? 0) & ~ACTIVE;
  }

  /** The task waits (again): nobody was told anything, no node was asked. */
  enqueue(
    task: number,
    state: typeof TASK.waiting | typeof TASK.confirming,
    queue: TaskQueue,
  ): void {
    this.#state[task] = state;
    this.#flags[task] = (this.#flags[task] ?? 0) & PRESET;
    if (state === TASK.waiting) this.#node[task] = NONE;
    this.#told[task] = 0;
    this.#askedAt[task] = -1;
    this.#next[task] = NONE;
    this.#previous[task] = queue.last;
    if (queue.last === NONE) queue.first = task;
    else this.#next[queue.last] = task;
    queue.last = task;
    queue.length++;
  }

  /** Takes the task out of the queue it waits in. */
  unqueue(task: number, queue: TaskQueue): void {
    const next = this.#next[task] ?? NONE;
    const previous = this.#previous[task] ?? NONE;
    if (previous === NONE) queue.first = next;
    else this.#next[previous] = next;
    if (next === NONE) queue.last = previous;
    else this.#previous[next] = previous;
    queue.length--;
  }

  /** The task after this one in its queue, or -1. */
  next(task: number): number {
    return this.#next[task] ?? NONE;
  }

  /** Forgets the task; its number may come again. */
  leave(task: number): void {
    this.#state[task] = TASK.none;
  }

  #grow(task: number): void {
    this.#state = grownUint8(this.#state, task);
    this.#flags = grownUint8(this.#flags, task);
    this.#shape = grownInt32(this.#shape, task);
    this.#node = grownInt32(this.#node, task);
    this.#next = grownInt32(this.#next, task);
    this.#previous = grownInt32(this.#previous, task);
    this.#told = grownInt32(this.#told, task);
    this.#askedAt = grownFloat64(this.#askedAt, task);
  }
}
