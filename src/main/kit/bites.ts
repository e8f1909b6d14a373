/**
 * Long work in short turns. Work is a generator that yields where it may be interrupted; pieces run
 * one after the other, a few milliseconds at a time, with the event loop free in between.
 */
export const BITE_MS = 4;

export type Work = Generator<void, void, void>;

export class Bites {
  readonly #queue: Work[] = [];
  readonly #onError: (error: unknown) => void;
  #scheduled: NodeJS.Immediate | undefined;
  #stopped = false;

  /** `onError` hears what a piece of work throws; the others go on. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  add(work: Work): void {
    if (this.#stopped) return;
    this.#queue.push(work);
    this.#scheduled ??= setImmediate(() => this.#run());
  }

  get idle(): boolean {
    return this.#queue.length === 0;
  }

  #run(): void {
    this.#scheduled = undefined;
    const until = performance.now() + BITE_MS;
    for (;;) {
      const [work] = this.#queue;
      if (work === undefined) return;
      if (this.#finished(work)) this.#queue.shift();
      if (performance.now() >= until) break;
    }
    if (this.#queue.length > 0) this.#scheduled = setImmediate(() => this.#run());
  }

  #finished(work: Work): boolean {
    try {
      return work.next().done === true;
    } catch (error) {
      this.#onError(error);
      return true;
    }
  }

  /** Drops all work; nothing runs afterwards. */
  stop(): void {
    this.#stopped = true;
    clearImmediate(this.#scheduled);
    for (const work of this.#queue.splice(0)) work.return();
  }
}
