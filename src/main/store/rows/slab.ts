/**
 * Small byte strings outside the heap of JavaScript, in pages of 1 MiB.
 *
 * A page holds slots of one size, a multiple of 32 bytes; free slots of a page are chained through
 * their first word. A page without values goes back to the others. Values too large for a slot stand
 * apart. Every value counts its holders, so that versions of a row share what has not changed.
 */
import assert from 'node:assert/strict';

const PAGE_BYTES = 1 << 20;
const UNIT_BYTES = 32;
const PAGE_UNITS = PAGE_BYTES / UNIT_BYTES;
/** Holders and length, a word each. */
const HEADER_BYTES = 8;
const SLOT_UNITS_MAX = 128;
const VALUE_BYTES_MAX = SLOT_UNITS_MAX * UNIT_BYTES - HEADER_BYTES;
/** Empty pages kept for the next who needs one. */
const SPARE_PAGES_MAX = 4;

class Page {
  readonly bytes: Buffer = Buffer.from(new ArrayBuffer(PAGE_BYTES));
  readonly words: Int32Array = new Int32Array(this.bytes.buffer);
  number = 0;
  slotUnits = 0;
  /** First free unit that was used before, plus one; 0 for none. */
  free = 0;
  /** First unit that was never used. */
  fresh = 0;
  live = 0;

  get full(): boolean {
    return this.free === 0 && this.fresh + this.slotUnits > PAGE_UNITS;
  }

  reset(number: number, slotUnits: number): void {
    this.number = number;
    this.slotUnits = slotUnits;
    this.free = 0;
    this.fresh = 0;
    this.live = 0;
  }

  take(): number {
    this.live += 1;
    if (this.free !== 0) {
      const unit = this.free - 1;
      this.free = this.words[unit * (UNIT_BYTES / 4)]!;
      return unit;
    }
    const unit = this.fresh;
    this.fresh += this.slotUnits;
    return unit;
  }

  give(unit: number): void {
    this.live -= 1;
    this.words[unit * (UNIT_BYTES / 4)] = this.free;
    this.free = unit + 1;
  }
}

type Large = { readonly bytes: Uint8Array; holders: number };

/** Names a value; 0 is the empty value, which needs no place. Fits a signed 32-bit word. */
export type SlabHandle = number;

export class Slab {
  readonly #pages: (Page | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #spare: Page[] = [];
  /** By slot size: pages with room. */
  readonly #open: Page[][] = Array.from({ length: SLOT_UNITS_MAX + 1 }, () => []);
  readonly #large: (Large | undefined)[] = [];
  readonly #freeLarge: number[] = [];
  #values = 0;
  #pagesInUse = 0;
  #largeBytes = 0;

  /** Values held now. */
  get size(): number {
    return this.#values;
  }

  /** Bytes taken from the system for them. */
  get allocatedBytes(): number {
    return (this.#pagesInUse + this.#spare.length) * PAGE_BYTES + this.#largeBytes;
  }

  /** Stores a copy with one holder. */
  add(value: Uint8Array): SlabHandle {
    const { length } = value;
    if (length === 0) return 0;
    this.#values += 1;
    if (length > VALUE_BYTES_MAX) return this.#addLarge(value);
    const slotUnits = Math.ceil((length + HEADER_BYTES) / UNIT_BYTES);
    const open = this.#open[slotUnits]!;
    const page = open.at(-1) ?? this.#openPage(slotUnits);
    const unit = page.take();
    if (page.full) open.pop();
    const word = unit * (UNIT_BYTES / 4);
    page.words[word] = 1;
    page.words[word + 1] = length;
    page.bytes.set(value, unit * UNIT_BYTES + HEADER_BYTES);
    return page.number * PAGE_UNITS + unit + 1;
  }

  /** The value's bytes where they stand: not to be written to, nor kept. */
  get(handle: SlabHandle): Uint8Array {
    if (handle === 0) return EMPTY;
    if (handle < 0) return this.#largeOf(handle).bytes;
    const page = this.#page(handle);
    const unit = (handle - 1) & (PAGE_UNITS - 1);
    const from = unit * UNIT_BYTES + HEADER_BYTES;
    return page.bytes.subarray(from, from + page.words[unit * (UNIT_BYTES / 4) + 1]!);
  }

  length(handle: SlabHandle): number {
    if (handle === 0) return 0;
    if (handle < 0) return this.#largeOf(handle).bytes.length;
    const page = this.#page(handle);
    const unit = (handle - 1) & (PAGE_UNITS - 1);
    return page.words[unit * (UNIT_BYTES / 4) + 1]!;
  }

  /** One holder more. */
  hold(handle: SlabHandle): void {
    if (handle === 0) return;
    if (handle < 0) {
      this.#largeOf(handle).holders += 1;
      return;
    }
    const page = this.#page(handle);
    const unit = (handle - 1) & (PAGE_UNITS - 1);
    page.words[unit * (UNIT_BYTES / 4)]! += 1;
  }

  /** One holder less; the last one frees the value. */
  release(handle: SlabHandle): void {
    if (handle === 0) return;
    if (handle < 0) {
      this.#releaseLarge(handle);
      return;
    }
    const page = this.#page(handle);
    const unit = (handle - 1) & (PAGE_UNITS - 1);
    const holders = (page.words[unit * (UNIT_BYTES / 4)]! -= 1);
    if (holders > 0) return;
    this.#values -= 1;
    const wasFull = page.full;
    page.give(unit);
    if (wasFull) this.#open[page.slotUnits]!.push(page);
    if (page.live === 0) this.#closePage(page);
  }

  #page(handle: SlabHandle): Page {
    const page = this.#pages[(handle - 1) >>> 15];
    if (page === undefined) assert.fail(`no slab page for handle ${handle}`);
    return page;
  }

  #openPage(slotUnits: number): Page {
    const page = this.#spare.pop() ?? new Page();
    const number = this.#freeNumbers.pop() ?? this.#pages.length;
    page.reset(number, slotUnits);
    this.#pages[number] = page;
    this.#pagesInUse += 1;
    this.#open[slotUnits]!.push(page);
    return page;
  }

  /** An empty page serves other sizes, unless it is the only one with room for its own. */
  #closePage(page: Page): void {
    const open = this.#open[page.slotUnits]!;
    if (open.length === 1 && this.#values > 0) return;
    open.splice(open.lastIndexOf(page), 1);
    this.#pages[page.number] = undefined;
    this.#freeNumbers.push(page.number);
    this.#pagesInUse -= 1;
    if (this.#spare.length < SPARE_PAGES_MAX) this.#spare.push(page);
  }

  #addLarge(value: Uint8Array): SlabHandle {
    const index = this.#freeLarge.pop() ?? this.#large.length;
    this.#large[index] = { bytes: new Uint8Array(value), holders: 1 };
    this.#largeBytes += value.length;
    return -1 - index;
  }

  #largeOf(handle: SlabHandle): Large {
    const large = this.#large[-1 - handle];
    assert(large !== undefined, `no large value for handle ${handle}`);
    return large;
  }

  #releaseLarge(handle: SlabHandle): void {
    const large = this.#largeOf(handle);
    large.holders -= 1;
    if (large.holders > 0) return;
    this.#values -= 1;
    this.#largeBytes -= large.bytes.length;
    this.#large[-1 - handle] = undefined;
    this.#freeLarge.push(-1 - handle);
  }
}

const EMPTY = new Uint8Array(0);
