/**
 * The time that counts against silent nodes: only what this manager could have heard them in. While its
 * thread is busy for long, or callers wait whom it has not begun to answer, a node that is there looks
 * like one that is gone; giving it up would move its tasks and make more work still.
 *
 * Pure: the time that passed comes in with each tick.
 */
export const HEARD_TIME = {
  /** A tick that comes later than this found the thread blocked: the rest does not count. */
  tickMsMax: 500,
  /** This much always counts, so that a node that is gone is given up however busy the manager is. */
  shareMin: 0.1,
  /** Where callers have waited for so long without a pause, the manager cannot follow. */
  behindMs: 1000,
} as const;

export class HeardTime {
  #unheardMs = 0;
  #waitingMs = 0;

  /** `elapsedMs` have passed since the tick before; `callersWait` says whether somebody is unheard. */
  tick(elapsedMs: number, callersWait: boolean): void {
    const heardMs = callersWait ? 0 : Math.min(elapsedMs, HEARD_TIME.tickMsMax);
    this.#waitingMs = callersWait ? this.#waitingMs + elapsedMs : 0;
    this.#unheardMs += elapsedMs - Math.max(heardMs, elapsedMs * HEARD_TIME.shareMin);
  }

  /** Whether more callers come than can be answered, and not only in this moment. */
  get isBehind(): boolean {
    return this.#waitingMs >= HEARD_TIME.behindMs;
  }

  /** What the clock shows, without the time in which nobody was heard. */
  at(nowMs: number): number {
    return nowMs - this.#unheardMs;
  }
}
