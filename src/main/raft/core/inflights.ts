/**
 * Append messages on their way to one follower: a ring of (last index, payload bytes), oldest
 * first, limited in count and in bytes.
 */
import assert from 'node:assert/strict';

export type InflightLimits = {
  /** Messages at most. */
  readonly messagesMax: number;
  /** Payload bytes at most; the message that crosses it is the last one. 0 is no limit. */
  readonly bytesMax: number;
};

type Inflight = { readonly index: number; readonly bytes: number };

export class Inflights {
  readonly #limits: InflightLimits;
  #ring: Inflight[] = [];
  #start = 0;
  #bytes = 0;

  constructor(limits: InflightLimits) {
    this.#limits = limits;
  }

  get count(): number {
    return this.#ring.length - this.#start;
  }

  get full(): boolean {
    const { messagesMax, bytesMax } = this.#limits;
    return this.count >= messagesMax || (bytesMax > 0 && this.#bytes >= bytesMax);
  }

  /** A message that ends with `index` was sent. */
  add(index: number, bytes: number): void {
    assert(!this.full, 'a message was sent past the inflight limit');
    this.#ring.push({ index, bytes });
    this.#bytes += bytes;
  }

  /** Everything up to and with `index` has arrived. */
  freeTo(index: number): void {
    for (let oldest = this.#ring[this.#start]; oldest !== undefined && oldest.index <= index;) {
      this.#bytes -= oldest.bytes;
      this.#start += 1;
      oldest = this.#ring[this.#start];
    }
    if (this.#start * 2 < this.#ring.length) return;
    this.#ring = this.#ring.slice(this.#start);
    this.#start = 0;
  }

  reset(): void {
    this.#ring = [];
    this.#start = 0;
    this.#bytes = 0;
  }
}
