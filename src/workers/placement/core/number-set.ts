/**
 * A set of small whole numbers that is walked in order: a bitmap in pages of 1,024, of which only
 * those that hold something exist. Adding, deleting and finding the next member cost a few machine
 * words, however large the numbers are; an empty stretch costs a bit per page.
 */

const PAGE_BITS = 10;
/** Words of a page; one more word after them has a bit for each word that is not zero. */
const PAGE_WORDS = 32;

/** Empty pages for the next set that needs one: sets that fill as others drain share them. */
export type SparePages = Int32Array[];

/** Spare pages kept at most. */
const SPARE_MAX = 64;

export class NumberSet {
  readonly #spare: SparePages;
  readonly #pages: (Int32Array | undefined)[] = [];
  /** A bit for each page that exists. */
  #pageMask = new Int32Array(1);
  #size = 0;

  constructor(spare: SparePages = []) {
    this.#spare = spare;
  }

  get size(): number {
    return this.#size;
  }

  has(value: number): boolean {
    const page = this.#pages[value >>> PAGE_BITS];
    return page !== undefined && ((page[(value >>> 5) & 31] ?? 0) & (1 << (value & 31))) !== 0;
  }

  /** Adds a number that may be there already. */
  add(value: number): void {
    const pageIndex = value >>> PAGE_BITS;
    const page = this.#pages[pageIndex] ?? this.#newPage(pageIndex);
    const word = (value >>> 5) & 31;
    const before = page[word] ?? 0;
    const after = before | (1 << (value & 31));
    if (after === before) return;
    page[word] = after;
    page[PAGE_WORDS] = (page[PAGE_WORDS] ?? 0) | (1 << word);
    this.#size++;
  }

  /** Deletes a number that may not be there. */
  delete(value: number): void {
    const pageIndex = value >>> PAGE_BITS;
    const page = this.#pages[pageIndex];
    if (page === undefined) return;
    const word = (value >>> 5) & 31;
    const before = page[word] ?? 0;
    const after = before & ~(1 << (value & 31));
    if (after === before) return;
    page[word] = after;
    this.#size--;
    if (after !== 0) return;
    const words = (page[PAGE_WORDS] ?? 0) & ~(1 << word);
    page[PAGE_WORDS] = words;
    if (words === 0) this.#dropPage(pageIndex);
  }

  /** The least member that is not below `from`, or -1. */
  next(from: number): number {
    const pageIndex = from >>> PAGE_BITS;
    const page = this.#pages[pageIndex];
    if (page !== undefined) {
      const found = nextInPage(page, from & 1023);
      if (found >= 0) return (pageIndex << PAGE_BITS) + found;
    }
    const later = this.#nextPage(pageIndex + 1);
    if (later < 0) return -1;
    const laterPage = this.#pages[later];
    return laterPage === undefined ? -1 : (later << PAGE_BITS) + nextInPage(laterPage, 0);
  }

  #newPage(pageIndex: number): Int32Array {
    const page = this.#spare.pop() ?? new Int32Array(PAGE_WORDS + 1);
    while (this.#pages.length <= pageIndex) this.#pages.push(undefined);
    this.#pages[pageIndex] = page;
    const maskWord = pageIndex >>> 5;
    if (maskWord >= this.#pageMask.length) {
      const grown = new Int32Array(Math.max(maskWord + 1, this.#pageMask.length * 2));
      grown.set(this.#pageMask);
      this.#pageMask = grown;
    }
    this.#pageMask[maskWord] = (this.#pageMask[maskWord] ?? 0) | (1 << (pageIndex & 31));
    return page;
  }

  /** Gives up a page, which holds nothing. */
  #dropPage(pageIndex: number): void {
    const page = this.#pages[pageIndex];
    if (page !== undefined && this.#spare.length < SPARE_MAX) this.#spare.push(page);
    this.#pages[pageIndex] = undefined;
    const maskWord = pageIndex >>> 5;
    this.#pageMask[maskWord] = (this.#pageMask[maskWord] ?? 0) & ~(1 << (pageIndex & 31));
  }

  #nextPage(from: number): number {
    const mask = this.#pageMask;
    for (let word = from >>> 5; word < mask.length; word++) {
      let bits = mask[word] ?? 0;
      if (word === from >>> 5) bits &= -1 << (from & 31);
      if (bits !== 0) return (word << 5) + lowestBit(bits);
    }
    return -1;
  }
}

/** The least member of a page that is not below `from` (both from 0 to 1,023), or -1. */
function nextInPage(page: Int32Array, from: number): number {
  const word = from >>> 5;
  const bits = (page[word] ?? 0) & (-1 << (from & 31));
  if (bits !== 0) return (word << 5) + lowestBit(bits);
  const words = word === 31 ? 0 : (page[PAGE_WORDS] ?? 0) & (-1 << (word + 1));
  if (words === 0) return -1;
  const later = lowestBit(words);
  return (later << 5) + lowestBit(page[later] ?? 0);
}

/** Index of the lowest bit that is set; `bits` must not be 0. */
function lowestBit(bits: number): number {
  return 31 - Math.clz32(bits & -bits);
}
