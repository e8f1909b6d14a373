/**
 * Rows by service and slot: a hash table that grows by one bucket at a time (linear hashing), so that
 * no insertion ever pays for all the others. Buckets are chained through the rows.
 *
 * Rows of slot 0 (global services, attachments) are not in it: they are as many as the service has.
 */
import { FLOAT, WORD, type RowPages } from './row-pages.ts';

const BUCKETS_MIN = 64;
const PREVIOUS = WORD.slotLinks;
const NEXT = WORD.slotLinks + 1;

export class SlotIndex {
  readonly #rows: RowPages;
  #buckets = new Int32Array(BUCKETS_MIN);
  /** Buckets in use: `#round` (a power of two) and those already split in this round. */
  #used = BUCKETS_MIN;
  #round = BUCKETS_MIN;
  #size = 0;

  constructor(rows: RowPages) {
    this.#rows = rows;
  }

  /** First row of the chain that holds the slot's rows among others; go on with `next`. */
  first(service: number, slot: number): number {
    return this.#buckets[this.#bucketOf(service, slot)]!;
  }

  next(row: number): number {
    return this.#rows.get(row, NEXT);
  }

  add(row: number): void {
    const slot = this.#rows.getFloat(row, FLOAT.slot);
    if (slot === 0) return;
    this.#push(this.#bucketOf(this.#rows.get(row, WORD.service), slot), row);
    this.#size += 1;
    if (this.#size > this.#used) this.#split();
  }

  remove(row: number): void {
    const slot = this.#rows.getFloat(row, FLOAT.slot);
    if (slot === 0) return;
    this.#unlink(this.#bucketOf(this.#rows.get(row, WORD.service), slot), row);
    this.#size -= 1;
  }

  #bucketOf(service: number, slot: number): number {
    // Two odd multipliers and a fold: neighbours in slot or service part at once.
    let hash = Math.imul(service, 0x9e37_79b1) ^ Math.imul(slot | 0, 0x85eb_ca6b);
    hash ^= hash >>> 15;
    const wide = hash & (this.#round * 2 - 1);
    return wide < this.#used ? wide : wide & (this.#round - 1);
  }

  #push(bucket: number, row: number): void {
    const first = this.#buckets[bucket]!;
    this.#rows.set(row, PREVIOUS, 0);
    this.#rows.set(row, NEXT, first);
    if (first !== 0) this.#rows.set(first, PREVIOUS, row);
    this.#buckets[bucket] = row;
  }

  #unlink(bucket: number, row: number): void {
    const previous = this.#rows.get(row, PREVIOUS);
    const next = this.#rows.get(row, NEXT);
    if (previous === 0) this.#buckets[bucket] = next;
    else this.#rows.set(previous, NEXT, next);
    if (next !== 0) this.#rows.set(next, PREVIOUS, previous);
  }

  /** Shares the next bucket of this round with a new one. */
  #split(): void {
    const from = this.#used - this.#round;
    if (this.#used === this.#buckets.length) {
      const grown = new Int32Array(this.#buckets.length * 2);
      grown.set(this.#buckets);
      this.#buckets = grown;
    }
    this.#used += 1;
    let row = this.#buckets[from]!;
    while (row !== 0) {
      const next = this.next(row);
      const service = this.#rows.get(row, WORD.service);
      const bucket = this.#bucketOf(service, this.#rows.getFloat(row, FLOAT.slot));
      if (bucket !== from) {
        this.#unlink(from, row);
        this.#push(bucket, row);
      }
      row = next;
    }
    if (this.#used === this.#round * 2) this.#round = this.#used;
  }
}
