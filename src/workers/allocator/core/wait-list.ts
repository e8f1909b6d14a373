/**
 * Queues of those that cannot have what they need yet.
 *
 * A waiter stands in one list at a time and leaves it at no cost wherever it stands, so that a
 * service of thousands of waiting tasks can be removed, and woken one by one, without a scan.
 */
import assert from 'node:assert/strict';

/** Who is served first: what others wait for, and what runs already. */
export const RANK = { network: 0, node: 1, service: 2, task: 3 } as const;
export type Rank = (typeof RANK)[keyof typeof RANK];

/** Something that may have to wait. */
export class Waiter {
  readonly rank: Rank;
  /** Why it waits, in words; empty when it does not. */
  text = '';
  /** The words main has been told last. */
  toldText = '';
  #list: WaitList | undefined;
  #previous: Waiter | undefined;
  #next: Waiter | undefined;

  constructor(rank: Rank) {
    this.rank = rank;
  }

  /** The one behind it in its list. */
  get next(): Waiter | undefined {
    return this.#next;
  }

  /** Whether it stands in a list. */
  get stands(): boolean {
    return this.#list !== undefined;
  }

  /** Stands last in the list. */
  join(list: WaitList): void {
    assert.ok(this.#list === undefined, 'a waiter stands in one list');
    this.#list = list;
    this.#previous = list.last;
    if (list.last === undefined) list.first = this;
    else list.last.#next = this;
    list.last = this;
  }

  /** Leaves the list it stands in, if any. */
  leave(): void {
    const list = this.#list;
    if (list === undefined) return;
    if (this.#previous === undefined) list.first = this.#next;
    else this.#previous.#next = this.#next;
    if (this.#next === undefined) list.last = this.#previous;
    else this.#next.#previous = this.#previous;
    this.#list = undefined;
    this.#previous = undefined;
    this.#next = undefined;
  }
}

/** First in, first out. */
export class WaitList {
  first: Waiter | undefined;
  last: Waiter | undefined;

  /** Empties the list, giving those that stood in it, in order. */
  *drain(): Generator<Waiter> {
    for (let waiter = this.first; waiter !== undefined; waiter = this.first) {
      waiter.leave();
      yield waiter;
    }
  }
}

/** A list for each rank; the lower rank is served first. */
export class WaitQueue {
  readonly #lists = [new WaitList(), new WaitList(), new WaitList(), new WaitList()] as const;

  join(waiter: Waiter): void {
    waiter.join(this.#lists[waiter.rank]);
  }

  first(): Waiter | undefined {
    const [a, b, c, d] = this.#lists;
    return a.first ?? b.first ?? c.first ?? d.first;
  }

  /** Those of the rank, in order; none may join or leave meanwhile. */
  *waiters(rank: Rank): Generator<Waiter> {
    for (let waiter = this.#lists[rank].first; waiter !== undefined; waiter = waiter.next) {
      yield waiter;
    }
  }

  /** Empties the queue, giving those that stood in it, in the order they are served. */
  *drain(): Generator<Waiter> {
    for (const list of this.#lists) yield* list.drain();
  }
}
