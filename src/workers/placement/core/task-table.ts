/**
 * The tasks as rows of few whole numbers: where each is in its way through here,
 * its shape, its node, and its place in the queue it waits in. A queue is a chain through the rows,
 * so a task leaves it from anywhere; queues have numbers too.
 */
import assert from 'node:assert/strict';
import { grownFloat64, grownInt32, largest, type Int32List } from '../../../shared/kit/columns.ts';
import type { Picks } from './picks.ts';

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

const NONE = -1;

/** A row: state and flags, then these. Four words, so that it lies in one line of the processor's cache. */
const ROW = 4;
const SHAPE = 1;
const NODE = 2;
/** What the user was last told about a task that waits, in the explainer's terms; 0 nothing. */
const TOLD = 3;
/** The tally's entry in which an active task counts. None waits and is active. */
const ENTRY = TOLD;

/** The links of a task in a queue: the next one and this. */
const LINKS = 2;
const PREVIOUS = 1;

const STATE_MASK = 3;
/** The task is meant to run, and counts on its node. */
const ACTIVE = 4;
/** Its node was chosen here, so its failures speak of the node. */
const CHOSEN = 8;
/** Its node was given. */
const PRESET = 16;

/** A queue: its first and last task and its length, the tasks one too high so that 0 is none. */
const QUEUE = 3;
const LAST = 1;
const LENGTH = 2;

export class TaskTable {
  #rows = new Int32Array(64 * ROW);
  /** Apart from the rows: who walks a queue need not wait for rows. */
  #links = new Int32Array(64 * LINKS);
  #queues = new Int32Array(64 * QUEUE);
  /** Journal position at which the own node of a task with a given one was last asked; -1 never. */
  #askedAt = new Float64Array(0);

  /** Takes in a task that is not known, and whose node is given. */
  enter(task: number, shape: number, node: number): void {
    if (task < 0) assert.fail(`task number ${task} is out of range`);
    const rows = this.#rowsTo(task);
    if (this.state(task) !== TASK.none) assert.fail(`task ${task} is known already`);
    const row = task * ROW;
    rows[row] = PRESET;
    rows[row + SHAPE] = shape;
    rows[row + NODE] = node;
    rows[row + TOLD] = 0;
  }

  /**
   * Takes in tasks that are not known, given as columns: each waits in the queue of its shape, which is the
   * first one of all shapes and as many more as the shape's number says.
   */
  enterWaiting(tasks: Int32Array, shapes: Int32Array, firstQueue: number): void {
    const most = largest(tasks);
    const rows = this.#rowsTo(most);
    const links = this.#linksTo(most);
    const queues = this.#queuesTo(firstQueue + largest(shapes));
    for (let i = 0; i < tasks.length; i++) {
      const task = tasks[i]!;
      const shape = shapes[i]!;
      if (task < 0) assert.fail(`task number ${task} is out of range`);
      const row = task * ROW;
      if ((rows[row]! & STATE_MASK) !== TASK.none) assert.fail(`task ${task} is known already`);
      const at = (firstQueue + shape) * QUEUE;
      const last = queues[at + LAST]! - 1;
      rows[row] = TASK.waiting;
      rows[row + SHAPE] = shape;
      rows[row + NODE] = NONE;
      rows[row + TOLD] = 0;
      links[task * LINKS] = NONE;
      links[task * LINKS + PREVIOUS] = last;
      if (last === NONE) queues[at] = task + 1;
      else links[last * LINKS] = task;
      queues[at + LAST] = task + 1;
      queues[at + LENGTH]!++;
    }
  }

  state(task: number): number {
    return this.#word(task, 0) & STATE_MASK;
  }

  shape(task: number): number {
    return this.#rows[task * ROW + SHAPE] ?? NONE;
  }

  /** The node that the task is on or is meant for, or -1. */
  node(task: number): number {
    return this.#rows[task * ROW + NODE] ?? NONE;
  }

  isActive(task: number): boolean {
    return (this.#word(task, 0) & ACTIVE) !== 0;
  }

  isChosen(task: number): boolean {
    return (this.#word(task, 0) & CHOSEN) !== 0;
  }

  isPreset(task: number): boolean {
    return (this.#word(task, 0) & PRESET) !== 0;
  }

  told(task: number): number {
    return this.#word(task, TOLD);
  }

  setTold(task: number, told: number): void {
    this.#rows[task * ROW + TOLD] = told;
  }

  askedAt(task: number): number {
    return this.#askedAt[task] ?? NONE;
  }

  setAskedAt(task: number, position: number): void {
    this.#askedAt = grownFloat64(this.#askedAt, task);
    this.#askedAt[task] = position;
  }

  /** The tally's entry of an active task. */
  entry(task: number): number {
    return this.#word(task, ENTRY);
  }

  /** Puts the task on a node; `entry` is where it is counted, or -1 when it is not active. */
  hold(task: number, node: number, entry: number): void {
    const row = task * ROW;
    const preset = (this.#rows[row] ?? 0) & PRESET;
    const active = entry === NONE ? 0 : ACTIVE;
    this.#rows[row] = TASK.held | preset | (preset === 0 ? CHOSEN : 0) | active;
    this.#rows[row + NODE] = node;
    this.#rows[row + ENTRY] = entry;
  }

  deactivate(task: number): void {
    this.#rows[task * ROW] = this.#word(task, 0) & ~ACTIVE;
  }

  /** The task waits (again): nobody was told anything, no node was asked. */
  enqueue(task: number, state: typeof TASK.waiting | typeof TASK.confirming, queue: number): void {
    const rows = this.#rows;
    const row = task * ROW;
    rows[row] = state | ((rows[row] ?? 0) & PRESET);
    rows[row + TOLD] = 0;
    if (state === TASK.waiting) rows[row + NODE] = NONE;
    else this.setAskedAt(task, NONE);
    const at = queue * QUEUE;
    const queues = this.#queuesTo(queue);
    const links = this.#linksTo(task);
    const last = (queues[at + LAST] ?? 0) - 1;
    links[task * LINKS] = NONE;
    links[task * LINKS + PREVIOUS] = last;
    if (last === NONE) queues[at] = task + 1;
    else links[last * LINKS] = task;
    queues[at + LAST] = task + 1;
    queues[at + LENGTH] = (queues[at + LENGTH] ?? 0) + 1;
  }

  /** Takes the task out of the queue it waits in. */
  unqueue(task: number, queue: number): void {
    const links = this.#links;
    const queues = this.#queues;
    const at = queue * QUEUE;
    const next = links[task * LINKS] ?? NONE;
    const previous = links[task * LINKS + PREVIOUS] ?? NONE;
    if (previous === NONE) queues[at] = next + 1;
    else links[previous * LINKS] = next;
    if (next === NONE) queues[at + LAST] = previous + 1;
    else links[next * LINKS + PREVIOUS] = previous;
    queues[at + LENGTH] = (queues[at + LENGTH] ?? 0) - 1;
  }

  /** Puts the first tasks of a queue of waiting ones on nodes, one on each; lists the tasks. */
  holdFirst(queue: number, picks: Picks, held: Int32List): void {
    const count = picks.length;
    const nodes = picks.nodes.values;
    const entries = picks.entries.values;
    const from = held.extend(count);
    const tasks = held.values;
    const rows = this.#rows;
    const links = this.#links;
    const queues = this.#queues;
    const at = queue * QUEUE;
    let task = queues[at]! - 1;
    for (let i = 0; i < count; i++) {
      const row = task * ROW;
      tasks[from + i] = task;
      rows[row] = TASK.held | CHOSEN | ACTIVE;
      rows[row + NODE] = nodes[i]!;
      rows[row + ENTRY] = entries[i]!;
      task = links[task * LINKS]!;
    }
    queues[at] = task + 1;
    if (task === NONE) queues[at + LAST] = 0;
    else links[task * LINKS + PREVIOUS] = NONE;
    queues[at + LENGTH] = (queues[at + LENGTH] ?? 0) - count;
  }

  /** As `holdFirst`, for one task. @returns the task */
  holdOne(queue: number, node: number, entry: number): number {
    const rows = this.#rows;
    const links = this.#links;
    const queues = this.#queues;
    const at = queue * QUEUE;
    const task = queues[at]! - 1;
    const row = task * ROW;
    const next = links[task * LINKS]!;
    rows[row] = TASK.held | CHOSEN | ACTIVE;
    rows[row + NODE] = node;
    rows[row + ENTRY] = entry;
    queues[at] = next + 1;
    if (next === NONE) queues[at + LAST] = 0;
    else links[next * LINKS + PREVIOUS] = NONE;
    queues[at + LENGTH]!--;
    return task;
  }

  /** The first task of a queue, or -1. */
  first(queue: number): number {
    return (this.#queues[queue * QUEUE] ?? 0) - 1;
  }

  /** How many tasks are in a queue. */
  length(queue: number): number {
    return this.#queues[queue * QUEUE + LENGTH] ?? 0;
  }

  /** The task after this one in its queue, or -1. */
  next(task: number): number {
    return this.#links[task * LINKS] ?? NONE;
  }

  /** Forgets the task; its number may come again. */
  leave(task: number): void {
    this.#rows[task * ROW] = TASK.none;
  }

  /** The rows, with room up to a task. */
  #rowsTo(task: number): Int32Array {
    const end = (task + 1) * ROW;
    if (end > this.#rows.length) this.#rows = grownInt32(this.#rows, end - 1);
    return this.#rows;
  }

  /** The links, with room up to a task. */
  #linksTo(task: number): Int32Array {
    const end = (task + 1) * LINKS;
    if (end > this.#links.length) this.#links = grownInt32(this.#links, end - 1);
    return this.#links;
  }

  /** The queues, up to a given one. */
  #queuesTo(queue: number): Int32Array {
    const end = (queue + 1) * QUEUE;
    if (end > this.#queues.length) this.#queues = grownInt32(this.#queues, end - 1);
    return this.#queues;
  }

  #word(task: number, of: number): number {
    return this.#rows[task * ROW + of] ?? 0;
  }
}
