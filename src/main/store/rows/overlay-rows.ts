/**
 * The rows that are proposed, with all the lists they stand in. A row is put on its lists only when one
 * of them is looked at: most are committed before anybody asks.
 */
import assert from 'node:assert/strict';
import type { RowLists } from './row-lists.ts';
import { PLACE, WORD, type RowPages } from './row-pages.ts';
import { RowSet } from './row-set.ts';
import type { SlotIndex } from './slot-index.ts';

/** Rows that wait, and as many that went meanwhile, before the list of them is made anew. */
const WAITING_MIN = 64;

/** A row's place in the list of those that wait, while it is in none of the others. */
const WAITS_AT = WORD.serviceLinks;

export class OverlayRows {
  readonly #rows: RowPages;
  readonly #set: RowSet;
  /** Rows that are on no list yet, and 0 for those that went. */
  #waiting: number[] = [];
  #waitingSize = 0;

  constructor(rows: RowPages) {
    this.#rows = rows;
    this.#set = new RowSet(rows, PLACE.head);
  }

  get size(): number {
    return this.#set.size + this.#waitingSize;
  }

  get service(): RowLists {
    return this.#listed().service;
  }

  get node(): RowLists {
    return this.#listed().node;
  }

  get state(): RowLists {
    return this.#listed().state;
  }

  get desired(): RowLists {
    return this.#listed().desired;
  }

  get shared(): RowLists {
    return this.#listed().shared;
  }

  get slots(): SlotIndex {
    return this.#listed().slots;
  }

  /** All rows, in order of number. */
  all(): Iterable<number> {
    this.#listed();
    return this.#rows.inPlace(PLACE.head);
  }

  add(row: number): void {
    const rows = this.#rows;
    assert(rows.get(row, WORD.place) === PLACE.loose, `row ${row} is in a set`);
    if (this.#waiting.length > WAITING_MIN + 2 * this.#waitingSize) this.#closeGaps();
    rows.set(row, WORD.place, PLACE.waiting);
    rows.set(row, WAITS_AT, this.#waiting.length);
    this.#waiting.push(row);
    this.#waitingSize += 1;
  }

  remove(row: number): void {
    const rows = this.#rows;
    if (rows.get(row, WORD.place) !== PLACE.waiting) {
      this.#set.remove(row);
      return;
    }
    rows.set(row, WORD.place, PLACE.loose);
    this.#waiting[rows.get(row, WAITS_AT)] = 0;
    this.#waitingSize -= 1;
  }

  #closeGaps(): void {
    this.#waiting = this.#waiting.filter((row) => row !== 0);
    for (const [at, row] of this.#waiting.entries()) this.#rows.set(row, WAITS_AT, at);
  }

  /** The set, with all rows on their lists. */
  #listed(): RowSet {
    if (this.#waitingSize === 0) return this.#set;
    for (const row of this.#waiting) {
      if (row === 0) continue;
      this.#rows.set(row, WORD.place, PLACE.loose);
      this.#set.add(row);
    }
    this.#waiting = [];
    this.#waitingSize = 0;
    return this.#set;
  }
}
