/**
 * What a turn has to say, in order: tasks that are attached alike share a message, and those that
 * wait for the same reason share its words.
 */
import type { FromAllocator } from '../../../shared/lanes/allocation.ts';
import { NetworkEntry } from './network-table.ts';
import { Attachment } from './node-table.ts';
import { ServiceEntry } from './service-table.ts';
import { TaskEntry, type TaskGrant } from './task-table.ts';
import type { Waiter } from './wait-list.ts';

/** Most tasks in one message. */
const TASKS_PER_ANSWER = 1000;

type TaskAnswer = {
  readonly networks: readonly number[];
  readonly tasks: number[];
  readonly addresses: string[];
};

export class Answers {
  #messages: FromAllocator[] = [];
  #tasks: TaskAnswer | undefined;
  readonly #waiting = new Set<Waiter>();

  push(message: FromAllocator): void {
    this.#flushTasks();
    this.#messages.push(message);
  }

  allocated(task: TaskEntry, grant: TaskGrant): void {
    let answer = this.#tasks;
    if (
      answer === undefined ||
      answer.tasks.length >= TASKS_PER_ANSWER ||
      !sameNumbers(answer.networks, grant.networks)
    ) {
      this.#flushTasks();
      answer = { networks: grant.networks, tasks: [], addresses: [] };
      this.#tasks = answer;
    }
    answer.tasks.push(task.handle);
    answer.addresses.push(...grant.addresses);
  }

  /** The waiter's text has been set; main is told at the end of the turn if it still stands. */
  waits(waiter: Waiter): void {
    this.#waiting.add(waiter);
  }

  /** All messages since the last call. */
  take(): FromAllocator[] {
    this.#flushTasks();
    const messages = this.#messages;
    this.#messages = [];
    return messages;
  }

  #flushTasks(): void {
    const answer = this.#tasks;
    this.#tasks = undefined;
    if (answer === undefined) return;
    this.#messages.push({ t: 'tasks', ...answer, tasks: Int32Array.from(answer.tasks) });
  }

  /** Says who waits, and why, where that is news. */
  flushWaiting(): void {
    this.#flushTasks();
    const byText = new Map<string, Waiter[]>();
    for (const waiter of this.#waiting) {
      if (waiter.text === waiter.toldText) continue;
      waiter.toldText = waiter.text;
      if (waiter.text === '') continue;
      const waiters = byText.get(waiter.text);
      if (waiters === undefined) byText.set(waiter.text, [waiter]);
      else waiters.push(waiter);
    }
    this.#waiting.clear();
    for (const [text, waiters] of byText) this.#messages.push(describe(text, waiters));
  }
}

function describe(text: string, waiters: readonly Waiter[]): FromAllocator {
  const nodes = waiters.filter((waiter) => waiter instanceof Attachment);
  return {
    t: 'waiting',
    text,
    networks: waiters.filter((w) => w instanceof NetworkEntry).map((w) => w.handle),
    services: waiters.filter((w) => w instanceof ServiceEntry).map((w) => w.handle),
    nodes: [...new Set(nodes.map(({ node }) => node.handle))],
    tasks: Int32Array.from(waiters.filter((w) => w instanceof TaskEntry).map((w) => w.handle)),
  };
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}
