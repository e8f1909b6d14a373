/**
 * Small numbers for a thread, handed out densely. A number given back may name something else only
 * after the thread has gone past the turn in which it learned of that; until then it may still say
 * the number and mean the old thing.
 */
export class Numbers {
  #next = 0;
  readonly #free: number[] = [];
  readonly #resting: { readonly number: number; readonly turn: number }[] = [];
  #restingFrom = 0;

  /** Above every number ever handed out. */
  get size(): number {
    return this.#next;
  }

  take(): number {
    return this.#free.pop() ?? this.#next++;
  }

  /** Gives a number back; the thread learns of it in the given turn or before. */
  release(number: number, turn: number): void {
    this.#resting.push({ number, turn });
  }

  /** The thread has gone past a turn. */
  passed(turn: number): void {
    for (; this.#restingFrom < this.#resting.length; this.#restingFrom++) {
      const first = this.#resting[this.#restingFrom];
      if (first === undefined || first.turn > turn) break;
      this.#free.push(first.number);
    }
    if (this.#restingFrom * 2 < this.#resting.length) return;
    this.#resting.splice(0, this.#restingFrom);
    this.#restingFrom = 0;
  }
}
