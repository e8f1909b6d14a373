/**
 * How long an agent waits before it tries a manager again: growing, capped, and spread, so that a
 * thousand nodes do not come back in one instant (behaviour rule 11.1).
 */
export const BACKOFF = { stepMs: 100, maxMs: 8000 } as const;

export class Backoff {
  #boundMs = 0;

  /** After a failure: the next delay, drawn from 0 up to the grown bound. */
  next(randBelow: (limit: number) => number): number {
    this.#boundMs = Math.min(BACKOFF.stepMs + 2 * this.#boundMs, BACKOFF.maxMs);
    return randBelow(this.#boundMs);
  }

  /** After a success. */
  reset(): void {
    this.#boundMs = 0;
  }
}
