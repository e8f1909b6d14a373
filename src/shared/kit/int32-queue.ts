/** Whole numbers that are taken in the order in which they came, in a ring of one typed array. */
import assert from 'node:assert/strict';

const ROOM_MIN = 64;

export class Int32Queue {
  /** Its length is a power of two, so that places wrap by a mask. */
  #values = new Int32Array(ROOM_MIN);
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) this.#grow();
    this.#values[(this.#first + this.#length) & (this.#values.length - 1)] = value;
    this.#length++;
  }

  /** Takes the number that came first; there must be one. */
  shift(): number {
    assert(this.#length > 0, 'nothing is left in the queue');
    const value = this.#values[this.#first]!;
    this.#first = (this.#first + 1) & (this.#values.length - 1);
    this.#length--;
    return value;
  }

  #grow(): void {
    const values = new Int32Array(2 * this.#values.length);
    values.set(this.#values.subarray(this.#first));
    values.set(this.#values.subarray(0, this.#first), this.#values.length - this.#first);
    this.#values = values;
    this.#first = 0;
  }
}
