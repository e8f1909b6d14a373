/**
 * Virtual time: events in order of their time, run one by one in this thread. Between two events all
 * promises settle, so the next one finds nothing half done; the same seed gives the same run.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { setImmediate as promisesSettle } from 'node:timers/promises';
import { Random } from '../../src/shared/kit/random.ts';

type Event = { readonly atMs: number; readonly run: () => void; cancelled: boolean };

/** Something that is going to happen. */
export type Planned = { readonly cancel: () => void };

export class World {
  readonly random: Random;
  readonly #hash = createHash('sha256');
  readonly #listen: ((line: string) => void) | undefined;
  /** By time; those of one time in the order of planning. */
  readonly #events: Event[] = [];
  #nowMs = 0;
  #eventCount = 0;

  /** @param listen hears every line of the trace. */
  constructor(seed: bigint, listen?: (line: string) => void) {
    this.random = new Random(seed);
    this.#listen = listen;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  get eventCount(): number {
    return this.#eventCount;
  }

  /** Says what happens, and with what content: both become part of the run's digest. */
  note(what: string, content?: Uint8Array): void {
    const line = `${this.#nowMs.toFixed(3)} ${what}`;
    this.#hash.update(line).update('\n');
    if (content !== undefined) this.#hash.update(content);
    this.#listen?.(line);
  }

  /** What identifies the run so far. */
  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 16);
  }

  after(delayMs: number, run: () => void): Planned {
    return this.at(this.#nowMs + delayMs, run);
  }

  at(atMs: number, run: () => void): Planned {
    assert(atMs >= this.#nowMs, 'nothing can be planned in the past');
    const event: Event = { atMs, run, cancelled: false };
    this.#events.splice(this.#placeOf(atMs), 0, event);
    return {
      cancel: () => {
        event.cancelled = true;
      },
    };
  }

  pause(forMs: number): Promise<void> {
    return new Promise((resolve) => void this.after(forMs, resolve));
  }

  /** Lets everything happen that is planned until `untilMs`, and `afterEach` after each of it. */
  async run(untilMs: number, afterEach: () => void): Promise<void> {
    for (;;) {
      const next = this.#events[0];
      if (next === undefined || next.atMs > untilMs) break;
      this.#events.shift();
      if (next.cancelled) continue;
      this.#nowMs = next.atMs;
      this.#eventCount += 1;
      next.run();
      await promisesSettle();
      afterEach();
    }
    this.#nowMs = untilMs;
  }

  chance(percent: number): boolean {
    return this.random.unit() * 100 < percent;
  }

  /** Anything from 0 up to, not including, `most`. */
  upTo(most: number): number {
    return this.random.unit() * most;
  }

  pick<T>(items: readonly T[]): T {
    const item = items[this.random.below(items.length)];
    assert(item !== undefined, 'nothing to pick from');
    return item;
  }

  #placeOf(atMs: number): number {
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle]?.atMs ?? Infinity) <= atMs) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
