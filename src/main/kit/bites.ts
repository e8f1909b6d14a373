/**
 * Long work in short turns. Work is a generator that yields where it may be interrupted; pieces run
 * one after the other, a few milliseconds at a time, with the event loop free in between. What yields a
 * promise goes on when that is settled, and so does all behind it.
 */
export const BITE_MS = 4;

export type Work = Generator<void | Promise<void>, void, void>;

export class Bites {
  readonly #queue: Work[] = [];
  readonly #onError: (error: unknown) => void;
  #scheduled: NodeJS.Immediate | undefined;
  #isWaiting = false;
  #stopped = false;

  /** `onError` hears what a piece of work throws; the others go on. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  add(work: Work): void {
    if (this.#stopped) return;
    this.#queue.push(work);
    this.#schedule();
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  #schedule(): void {
    if (this.#queue.length === 0 || this.#isWaiting) return;
    this.#scheduled ??= setImmediate(() => this.#run());
  }

  #run(): void {
    this.#scheduled = undefined;
    const until = performance.now() + BITE_MS;
    while (!this.#isWaiting && performance.now() < until) {
      const [work] = this.#queue;
      if (work === undefined) return;
      if (this.#finished(work)) this.#queue.shift();
    }
    this.#schedule();
  }

  #finished(work: Work): boolean {
    try {
      const { done, value } = work.next();
      if (value instanceof Promise) void this.#wait(value);
      return done === true;
    } catch (error) {
      this.#onError(error);
      return true;
    }
  }

  async #wait(promise: Promise<void>): Promise<void> {
    this.#isWaiting = true;
    try {
      await promise;
    } catch (error) {
      this.#onError(error);
    }
    this.#isWaiting = false;
    this.#schedule();
  }

  /** Drops all work; nothing runs afterwards. */
  stop(): void {
    this.#stopped = true;
    clearImmediate(this.#scheduled);
    for (const work of this.#queue.splice(0)) work.return();
  }
}
