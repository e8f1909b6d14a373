/** What the workers of one process have seen since the last reset. */
import type { Counts } from './messages.ts';

const NOTHING = { assigned: 0, running: 0, ended: 0, removed: 0, calls: 0, tried: 0, opened: 0 };

export class Tally {
  #counts = { ...NOTHING };
  #held = 0;
  #sessions = 0;
  #beatsMs: number[] = [];
  #changed = false;

  reset(): void {
    this.#counts = { ...NOTHING };
    this.#beatsMs = [];
    this.#changed = true;
  }

  assigned(): void {
    this.#held += 1;
    this.#count('assigned');
  }

  running(): void {
    this.#count('running');
  }

  ended(): void {
    this.#count('ended');
  }

  called(): void {
    this.#count('calls');
  }

  tried(): void {
    this.#count('tried');
  }

  opened(): void {
    this.#sessions += 1;
    this.#count('opened');
  }

  closed(): void {
    this.#sessions -= 1;
    this.#changed = true;
  }

  beat(ms: number): void {
    this.#beatsMs.push(ms);
  }

  get beatsMs(): Float64Array {
    return Float64Array.from(this.#beatsMs);
  }

  #count(what: keyof typeof NOTHING): void {
    this.#counts[what] += 1;
    this.#changed = true;
  }

  /** `count` tasks are no longer held, `removed` of them because the manager said so. */
  dropped(count: number, removed: number): void {
    this.#held -= count;
    this.#counts.removed += removed;
    this.#changed = true;
  }

  /** The counts, if they are not as they were told last. */
  news(): Counts | undefined {
    if (!this.#changed) return undefined;
    this.#changed = false;
    return { ...this.#counts, sessions: this.#sessions, held: this.#held };
  }
}
