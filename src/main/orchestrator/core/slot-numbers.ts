/** A set of slot numbers, a bit each: a service may have a million. */

const PAGE_BITS = 15;
const PAGE_WORDS = 1 << (PAGE_BITS - 5);
const PAGE_SIZE = 1 << PAGE_BITS;

export class SlotNumbers {
  readonly #pages = new Map<number, Uint32Array>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  has(slot: number): boolean {
    const page = this.#pages.get(Math.floor(slot / PAGE_SIZE));
    const at = slot % PAGE_SIZE;
    return page !== undefined && ((page[at >>> 5]! >>> (at & 31)) & 1) === 1;
  }

  /** Whether the number was not there before. */
  add(slot: number): boolean {
    if (this.has(slot)) return false;
    const number = Math.floor(slot / PAGE_SIZE);
    const page = this.#pages.get(number) ?? new Uint32Array(PAGE_WORDS);
    this.#pages.set(number, page);
    const at = slot % PAGE_SIZE;
    page[at >>> 5]! |= 1 << (at & 31);
    this.#size += 1;
    return true;
  }

  /** The lowest `count` numbers from 1 up that are not here, in order; the set is not to change meanwhile. */
  *free(count: number): Generator<number, void> {
    let left = count;
    for (let slot = 1; left > 0; slot += 1) {
      if (this.has(slot)) continue;
      left -= 1;
      yield slot;
    }
  }

  /** The last one of `free(count)`; 0 when `count` is 0. */
  lastFree(count: number): number {
    // So many are free at least up to here; each number that is here puts it one further.
    let last = count;
    for (let slot = 1; slot <= last; slot += 1) if (this.has(slot)) last += 1;
    return last;
  }
}
