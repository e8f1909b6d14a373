/**
 * A set of whole numbers that are taken, and a cursor that hands out free ones in rising order.
 *
 * The cursor goes on after the number it gave last and starts over only at the end, so that a
 * number just freed rests until all others have been used: a peer that still remembers its last
 * owner has time to forget. Taken numbers are bits in pages; pages that are full or empty cost
 * nothing to pass, so that taking does not slow down as the pool fills.
 */
import assert from 'node:assert/strict';

const PAGE_BITS = 1024;
const PAGE_WORDS = PAGE_BITS / 32;

/** The largest pool: its bits fill 2 MiB when every page is in use. */
export const SERIAL_POOL_SIZE_MAX = 2 ** 24;

export type SerialPoolOptions = {
  /** Numbers 0 to size - 1 can be claimed. */
  readonly size: number;
  /** The first number that the cursor hands out. */
  readonly low: number;
  /** One more than the last number that the cursor hands out. */
  readonly high: number;
};

export class SerialPool {
  readonly size: number;
  readonly #low: number;
  readonly #high: number;
  readonly #pages: (Uint32Array | undefined)[];
  readonly #pageCounts: Uint16Array;
  readonly #fullPages: Uint32Array;
  /** Further holders of a number that has more than one. */
  readonly #more = new Map<number, number>();
  #cursor: number;
  #usedInRange = 0;

  constructor(options: SerialPoolOptions) {
    const { size, low, high } = options;
    assert.ok(size >= 0 && size <= SERIAL_POOL_SIZE_MAX, `pool size ${size}`);
    assert.ok(low >= 0 && low <= high && high <= size, `pool range ${low}..${high} of ${size}`);
    this.size = size;
    this.#low = low;
    this.#high = high;
    this.#cursor = low;
    const pages = Math.ceil(size / PAGE_BITS);
    this.#pages = Array.from({ length: pages }, () => undefined);
    this.#pageCounts = new Uint16Array(pages);
    this.#fullPages = new Uint32Array(Math.ceil(pages / 32));
  }

  /** How many numbers the cursor could hand out if none were taken. */
  get total(): number {
    return this.#high - this.#low;
  }

  /** How many of those are taken. */
  get used(): number {
    return this.#usedInRange;
  }

  /** How many of those are free. */
  get free(): number {
    return this.total - this.#usedInRange;
  }

  has(n: number): boolean {
    this.#check(n);
    const page = this.#pages[Math.floor(n / PAGE_BITS)];
    return page !== undefined && ((page[(n % PAGE_BITS) >>> 5] ?? 0) & (1 << (n & 31))) !== 0;
  }

  /** Takes the next free number, or gives undefined when none is left. */
  take(): number | undefined {
    if (this.free === 0) return undefined;
    const found =
      this.#nextFree(this.#cursor, this.#high) ?? this.#nextFree(this.#low, this.#cursor);
    assert.ok(found !== undefined, 'the count of free numbers is right');
    this.#set(found);
    this.#cursor = found + 1;
    return found;
  }

  /** Takes this number; false when it is taken already. */
  claim(n: number): boolean {
    if (this.has(n)) return false;
    this.#set(n);
    return true;
  }

  /**
   * Takes a number for one more holder, even if another has it (then false): it is free again when
   * all have given it back.
   */
  hold(n: number): boolean {
    if (this.claim(n)) return true;
    this.#more.set(n, (this.#more.get(n) ?? 0) + 1);
    return false;
  }

  /**
   * Has the cursor go on after this number at the earliest: called for each number known to have been
   * given in an earlier life of the pool, so that those freed last are again the ones that rest.
   */
  resumeAfter(n: number): void {
    if (n >= this.#low && n < this.#high) this.#cursor = Math.max(this.#cursor, n + 1);
  }

  /** Gives the number back; true when nobody holds it any more. */
  release(n: number): boolean {
    assert.ok(this.has(n), `${n} is freed but was not taken`);
    const more = this.#more.get(n) ?? 0;
    if (more === 0) {
      this.#clear(n);
      return true;
    }
    if (more === 1) this.#more.delete(n);
    else this.#more.set(n, more - 1);
    return false;
  }

  #check(n: number): void {
    assert.ok(Number.isInteger(n) && n >= 0 && n < this.size, `${n} is not in the pool`);
  }

  #set(n: number): void {
    const index = Math.floor(n / PAGE_BITS);
    const page = (this.#pages[index] ??= new Uint32Array(PAGE_WORDS));
    const word = (n % PAGE_BITS) >>> 5;
    page[word] = (page[word] ?? 0) | (1 << (n & 31));
    const count = (this.#pageCounts[index] ?? 0) + 1;
    this.#pageCounts[index] = count;
    if (count === PAGE_BITS) this.#markPage(index, true);
    if (n >= this.#low && n < this.#high) this.#usedInRange++;
  }

  #clear(n: number): void {
    const index = Math.floor(n / PAGE_BITS);
    const page = this.#pages[index];
    assert.ok(page !== undefined);
    const word = (n % PAGE_BITS) >>> 5;
    page[word] = (page[word] ?? 0) & ~(1 << (n & 31));
    const count = (this.#pageCounts[index] ?? 0) - 1;
    this.#pageCounts[index] = count;
    if (count === PAGE_BITS - 1) this.#markPage(index, false);
    if (count === 0) this.#pages[index] = undefined;
    if (n >= this.#low && n < this.#high) this.#usedInRange--;
  }

  #markPage(index: number, full: boolean): void {
    const word = index >>> 5;
    const bit = 1 << (index & 31);
    const old = this.#fullPages[word] ?? 0;
    this.#fullPages[word] = full ? old | bit : old & ~bit;
  }

  /** The lowest free number in [from, to). */
  #nextFree(from: number, to: number): number | undefined {
    let start = from;
    while (start < to) {
      const index = this.#nextPageWithRoom(Math.floor(start / PAGE_BITS));
      if (index === undefined) return undefined;
      start = Math.max(start, index * PAGE_BITS);
      const page = this.#pages[index];
      const offset = page === undefined ? start % PAGE_BITS : freeBit(page, start % PAGE_BITS);
      if (offset !== undefined) {
        const found = index * PAGE_BITS + offset;
        return found < to ? found : undefined;
      }
      start = (index + 1) * PAGE_BITS;
    }
    return undefined;
  }

  /** The first page from `index` on that is not full. */
  #nextPageWithRoom(index: number): number | undefined {
    for (let word = index >>> 5; word < this.#fullPages.length; word++) {
      const room = ~(this.#fullPages[word] ?? 0) & (word === index >>> 5 ? -1 << (index & 31) : -1);
      if (room === 0) continue;
      const found = word * 32 + lowestBit(room);
      return found < this.#pages.length ? found : undefined;
    }
    return undefined;
  }
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

/** The lowest bit at or after `from` that is not set. */
function freeBit(page: Uint32Array, from: number): number | undefined {
  for (let word = from >>> 5; word < PAGE_WORDS; word++) {
    const room = ~(page[word] ?? 0) & (word === from >>> 5 ? -1 << (from & 31) : -1);
    if (room !== 0) return word * 32 + lowestBit(room);
  }
  return undefined;
}
