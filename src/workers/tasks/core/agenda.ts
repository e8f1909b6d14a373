/**
 * What is to be done later, in the order of time: a binary heap, so that any number of waiting tasks
 * needs one timer. Entries of one time keep the order in which they were entered.
 */

/** An entry; cancelling one leaves it in the heap until its time. */
export type Appointment = {
  readonly dueMs: number;
  readonly order: number;
  run: (() => void) | undefined;
};

export class Agenda {
  readonly #heap: Appointment[] = [];
  readonly #onSooner: (dueMs: number) => void;
  #order = 0;
  #live = 0;

  /** @param onSooner told when an entry comes to stand before all others */
  constructor(onSooner: (dueMs: number) => void = () => undefined) {
    this.#onSooner = onSooner;
  }

  /** How many entries will still be carried out. */
  get size(): number {
    return this.#live;
  }

  /** Enters something to do at a time in milliseconds. */
  at(dueMs: number, run: () => void): Appointment {
    const entry = { dueMs, order: this.#order++, run };
    this.#live += 1;
    this.#rise(entry, this.#heap.length);
    if (this.#heap[0] === entry) this.#onSooner(dueMs);
    return entry;
  }

  cancel(entry: Appointment): void {
    if (entry.run === undefined) return;
    entry.run = undefined;
    this.#live -= 1;
  }

  /** When the next entry is due; undefined when there is none. */
  nextDueMs(): number | undefined {
    while (this.#heap[0] !== undefined && this.#heap[0].run === undefined) this.#pop();
    return this.#heap[0]?.dueMs;
  }

  /** Carries out what is due by `nowMs`, at most `limit` entries; returns how many it was. */
  runDue(nowMs: number, limit = Infinity): number {
    let count = 0;
    for (let due = this.nextDueMs(); due !== undefined && due <= nowMs && count < limit;) {
      const run = this.#heap[0]?.run;
      this.#pop();
      this.#live -= 1;
      count += 1;
      run?.();
      due = this.nextDueMs();
    }
    return count;
  }

  #pop(): void {
    const top = this.#heap[0];
    const last = this.#heap.pop();
    if (top !== undefined && top.run !== undefined) top.run = undefined;
    if (last !== undefined && last !== top) this.#sink(last, 0);
  }

  #rise(entry: Appointment, from: number): void {
    let at = from;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const other = this.#heap[above];
      if (other === undefined || !before(entry, other)) break;
      this.#heap[at] = other;
      at = above;
    }
    this.#heap[at] = entry;
  }

  #sink(entry: Appointment, from: number): void {
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      const left = this.#heap[below];
      const right = this.#heap[below + 1];
      if (left === undefined) break;
      const least = right !== undefined && before(right, left) ? right : left;
      if (least === right) below += 1;
      if (!before(least, entry)) break;
      this.#heap[at] = least;
      at = below;
    }
    this.#heap[at] = entry;
  }
}

function before(a: Appointment, b: Appointment): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.order < b.order);
}
