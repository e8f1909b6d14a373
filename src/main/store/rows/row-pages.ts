/**
 * Rows: fixed records of numbers, in pages of typed arrays. One row is one version of one task.
 *
 * A record stands in one place, so that copying a row touches three cache lines rather than one for
 * every column. Its first part says where the row is and links it into lists; the second is its
 * content, which two rows may exchange.
 */
import assert from 'node:assert/strict';

/** Words of a row, as offsets. */
export const WORD = {
  /** Counts the contents that the row has had; a `TaskRow` of another content is refused. */
  generation: 0,
  place: 1,
  /** The snapshot that need not look at the row any more. */
  seen: 2,
  /** The committed row of an id with pending writes. */
  shadowed: 3,
  /** Two links for each list: previous and next row, 0 at the ends. */
  serviceLinks: 4,
  nodeLinks: 6,
  slotLinks: 8,
  stateLinks: 10,
  desiredLinks: 12,
  sharedLinks: 14,
  createdNanos: 30,
  updatedNanos: 31,
  statusNanos: 32,
  appliedNanos: 33,
  state: 34,
  desired: 35,
  flags: 36,
  service: 37,
  node: 38,
  shared: 39,
  message: 40,
  err: 41,
  appliedBy: 42,
  body: 43,
  runtime: 44,
} as const;

/** Eight-byte numbers of a row, as offsets in the same record. */
export const FLOAT = {
  version: 8,
  slot: 9,
  jobIteration: 10,
  createdSeconds: 11,
  updatedSeconds: 12,
  statusSeconds: 13,
  appliedSeconds: 14,
} as const;

const CONTENT_WORD = 16;
const ROW_WORDS = 46;
const ROW_FLOATS = ROW_WORDS / 2;

/** Which times are present, and what is known of the body (`TaskRow.allocated`, `TaskRow.attached`). */
export const FLAG = {
  created: 1,
  updated: 2,
  statusTime: 4,
  applied: 8,
  job: 16,
  allocated: 32,
  attached: 64,
} as const;

/** Where a row is. */
export const PLACE = {
  free: 0,
  /** In the committed set. */
  committed: 1,
  /** In the overlay, on all its lists. */
  head: 2,
  /** In neither: being made, followed by a later pending version, or replaced. */
  loose: 3,
  /** In the overlay, on none of its lists yet. */
  waiting: 4,
} as const;

const PAGE_BITS = 12;
const PAGE_ROWS = 1 << PAGE_BITS;
const PAGE_MASK = PAGE_ROWS - 1;
const NO_ID = '';

/** The rows of one page; row 0 of page 0 is never given out, so that 0 means none. */
export class RowPage {
  readonly words: Int32Array;
  readonly floats: Float64Array;
  readonly ids: string[] = Array.from<string>({ length: PAGE_ROWS }).fill(NO_ID);
  readonly number: number;
  /** Free rows that were used before, chained through a link word. */
  free = 0;
  fresh: number;
  live = 0;

  constructor(number: number) {
    const record = new ArrayBuffer(PAGE_ROWS * ROW_WORDS * 4);
    this.words = new Int32Array(record);
    this.floats = new Float64Array(record);
    this.number = number;
    this.fresh = number === 0 ? 1 : 0;
  }

  get full(): boolean {
    return this.free === 0 && this.fresh === PAGE_ROWS;
  }
}

export class RowPages {
  readonly #pages: (RowPage | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  readonly #open: RowPage[] = [];
  #live = 0;

  /** Rows in use. */
  get live(): number {
    return this.#live;
  }

  /** Bytes taken for them. */
  get allocatedBytes(): number {
    const pages = this.#pages.length - this.#freeNumbers.length;
    return pages * PAGE_ROWS * (ROW_WORDS * 4 + 8);
  }

  /** First row number that no row has reached. */
  get end(): number {
    return this.#pages.length * PAGE_ROWS;
  }

  page(row: number): RowPage {
    return this.#pages[row >>> PAGE_BITS]!;
  }

  /** Index of the row's first word in its page. */
  words(row: number): number {
    return (row & PAGE_MASK) * ROW_WORDS;
  }

  floats(row: number): number {
    return (row & PAGE_MASK) * ROW_FLOATS;
  }

  get(row: number, word: number): number {
    return this.#pages[row >>> PAGE_BITS]!.words[(row & PAGE_MASK) * ROW_WORDS + word]!;
  }

  set(row: number, word: number, value: number): void {
    this.#pages[row >>> PAGE_BITS]!.words[(row & PAGE_MASK) * ROW_WORDS + word] = value;
  }

  /** Whether the row is in `place`; no row need be there. */
  isIn(row: number, place: number): boolean {
    const page = this.#pages[row >>> PAGE_BITS];
    if (page === undefined) return false;
    return page.words[(row & PAGE_MASK) * ROW_WORDS + WORD.place] === place;
  }

  getFloat(row: number, float: number): number {
    return this.#pages[row >>> PAGE_BITS]!.floats[(row & PAGE_MASK) * ROW_FLOATS + float]!;
  }

  setFloat(row: number, float: number, value: number): void {
    this.#pages[row >>> PAGE_BITS]!.floats[(row & PAGE_MASK) * ROW_FLOATS + float] = value;
  }

  id(row: number): string {
    return this.#pages[row >>> PAGE_BITS]!.ids[row & PAGE_MASK]!;
  }

  /** A row with this id, its content not yet set. */
  take(id: string): number {
    const page = this.#open.at(-1) ?? this.#openPage();
    let at = page.fresh;
    if (page.free === 0) {
      page.fresh += 1;
    } else {
      at = page.free - 1;
      page.free = page.words[at * ROW_WORDS + WORD.serviceLinks]!;
    }
    if (page.full) this.#open.pop();
    page.live += 1;
    this.#live += 1;
    page.ids[at] = id;
    page.words[at * ROW_WORDS + WORD.place] = PLACE.loose;
    page.words[at * ROW_WORDS + WORD.shadowed] = 0;
    return page.number * PAGE_ROWS + at;
  }

  give(row: number): void {
    const page = this.page(row);
    const at = row & PAGE_MASK;
    const base = at * ROW_WORDS;
    assert(page.words[base + WORD.place] === PLACE.loose, `row ${row} is still in a set`);
    const wasFull = page.full;
    page.words[base + WORD.generation]! += 1;
    page.words[base + WORD.place] = PLACE.free;
    page.words[base + WORD.serviceLinks] = page.free;
    page.free = at + 1;
    page.ids[at] = NO_ID;
    page.live -= 1;
    this.#live -= 1;
    if (wasFull) this.#open.push(page);
    if (page.live === 0 && this.#open.length > 1) this.#closePage(page);
  }

  /** Copies the content of one row into another. */
  copyContent(from: number, to: number): void {
    const source = this.page(from).words;
    const target = this.page(to).words;
    const a = this.words(from);
    const b = this.words(to);
    for (let i = CONTENT_WORD; i < ROW_WORDS; i += 1) target[b + i] = source[a + i]!;
  }

  /** Exchanges the contents of two rows; neither is what it was for whoever looked at it before. */
  swapContents(one: number, other: number): void {
    const a = this.page(one).words;
    const b = this.page(other).words;
    const i = this.words(one);
    const j = this.words(other);
    for (let k = CONTENT_WORD; k < ROW_WORDS; k += 1) {
      const word = a[i + k]!;
      a[i + k] = b[j + k]!;
      b[j + k] = word;
    }
    a[i + WORD.generation]! += 1;
    b[j + WORD.generation]! += 1;
  }

  /** Row numbers in `place`, from `from` on, in order. */
  *inPlace(place: number, from = 1): Generator<number> {
    for (let number = from >>> PAGE_BITS; number < this.#pages.length; number += 1) {
      const page = this.#pages[number];
      if (page === undefined) continue;
      const first = number === from >>> PAGE_BITS ? from & PAGE_MASK : 0;
      for (let at = first; at < page.fresh; at += 1) {
        if (page.words[at * ROW_WORDS + WORD.place] === place) yield number * PAGE_ROWS + at;
      }
    }
  }

  #openPage(): RowPage {
    const page = new RowPage(this.#freeNumbers.pop() ?? this.#pages.length);
    this.#pages[page.number] = page;
    this.#open.push(page);
    return page;
  }

  #closePage(page: RowPage): void {
    this.#open.splice(this.#open.lastIndexOf(page), 1);
    this.#pages[page.number] = undefined;
    this.#freeNumbers.push(page.number);
  }
}
