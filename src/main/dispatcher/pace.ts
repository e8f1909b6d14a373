/**
 * When each stream's loop may send: some time after there was something to send, so that changes gather,
 * and only a few loops in one turn of the event loop. Where changes come faster than they can be sent, a
 * loop waits for its next place in the line, and more gathers meanwhile: the messages become fewer and
 * larger, and turns stay short. Where there is little to do nobody waits longer than the time.
 */

/** Loops that go on in one turn. */
const LOOPS_PER_TURN = 8;

export class Pace {
  readonly #windowMs: number;
  /** In the order in which they came. */
  #waiting: { readonly dueMs: number; readonly go: () => void }[] = [];
  #next = 0;
  #isScheduled = false;

  /** `windowMs` is how long everybody waits at least. */
  constructor(windowMs: number) {
    this.#windowMs = windowMs;
  }

  /** Resolves when the caller may go on. */
  turn(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push({ dueMs: performance.now() + this.#windowMs, go: resolve });
    this.#schedule();
    return promise;
  }

  #schedule(): void {
    const first = this.#waiting[this.#next];
    if (this.#isScheduled || first === undefined) return;
    this.#isScheduled = true;
    const delayMs = first.dueMs - performance.now();
    const run = (): void => this.#run();
    if (delayMs > 0) setTimeout(run, Math.ceil(delayMs));
    else setImmediate(run);
  }

  #run(): void {
    this.#isScheduled = false;
    const nowMs = performance.now();
    for (let went = 0; went < LOOPS_PER_TURN; went += 1) {
      const first = this.#waiting[this.#next];
      if (first === undefined || first.dueMs > nowMs) break;
      this.#next += 1;
      first.go();
    }
    // Also where somebody always waits, those who went are let go.
    if (this.#next * 2 >= this.#waiting.length) {
      this.#waiting = this.#waiting.slice(this.#next);
      this.#next = 0;
    }
    this.#schedule();
  }
}
