/**
 * The terms of a log's entries. Terms never fall and change only with an election, so they are kept as
 * runs: a log of any length takes a few numbers.
 */
import assert from 'node:assert/strict';

type Run = { readonly from: number; readonly term: number };

export class TermRuns {
  /** Ascending; the last one goes on to the end. */
  #runs: Run[] = [];
  #first: number;
  #last: number;

  /** @param first index of the first entry to come. */
  constructor(first: number) {
    this.#first = first;
    this.#last = first - 1;
  }

  get last(): number {
    return this.#last;
  }

  /** Term of the entry at `index`; null where there is none. */
  at(index: number): number | null {
    if (index < this.#first || index > this.#last) return null;
    return this.#runs[this.#runAt(index)]?.term ?? null;
  }

  push(term: number): void {
    this.#last += 1;
    const run = this.#runs.at(-1);
    if (run?.term === term) return;
    assert(term > (run?.term ?? 0), `term ${term} after ${run?.term}`);
    this.#runs.push({ from: this.#last, term });
  }

  /** Forgets entries from `index` on. */
  truncate(index: number): void {
    if (index > this.#last) return;
    this.#last = Math.max(index, this.#first) - 1;
    while ((this.#runs.at(-1)?.from ?? 0) > this.#last) this.#runs.pop();
  }

  /** Forgets entries up to `index`. */
  compact(index: number): void {
    if (index < this.#first) return;
    if (index >= this.#last) {
      this.#runs = [];
      this.#last = index;
    } else {
      this.#runs.splice(0, this.#runAt(index + 1));
    }
    this.#first = index + 1;
  }

  /** The last run that begins at or before `index`. */
  #runAt(index: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.from ?? Infinity) <= index) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}
