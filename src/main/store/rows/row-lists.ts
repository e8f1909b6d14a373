/**
 * Lists of rows by a dense number (a service's, a node's, a state's), linked through the rows
 * themselves: no object for a list, none for an element.
 */
import type { RowPages } from './row-pages.ts';

/** What a key has, in consecutive numbers. */
const HEAD = 0;
const TAIL = 1;
const COUNT = 2;
const SHADOWED = 3;
const FIELDS = 4;

export class RowLists {
  readonly #rows: RowPages;
  readonly #previous: number;
  readonly #next: number;
  #keys = new Int32Array(64 * FIELDS);

  /** `links` is the first of the two link words. */
  constructor(rows: RowPages, links: number) {
    this.#rows = rows;
    this.#previous = links;
    this.#next = links + 1;
  }

  first(key: number): number {
    return this.#keys[key * FIELDS + HEAD] ?? 0;
  }

  next(row: number): number {
    return this.#rows.get(row, this.#next);
  }

  count(key: number): number {
    return this.#keys[key * FIELDS + COUNT] ?? 0;
  }

  /** Rows of the list that the head shows differently or not at all. */
  shadowed(key: number): number {
    return this.#keys[key * FIELDS + SHADOWED] ?? 0;
  }

  shadow(key: number, by: 1 | -1): void {
    this.#keys[key * FIELDS + SHADOWED]! += by;
  }

  /** Puts the row at the end of the list. */
  add(key: number, row: number): void {
    const base = key * FIELDS;
    if (base >= this.#keys.length) this.#grow(base);
    const tail = this.#keys[base + TAIL]!;
    this.#rows.set(row, this.#previous, tail);
    this.#rows.set(row, this.#next, 0);
    if (tail === 0) this.#keys[base + HEAD] = row;
    else this.#rows.set(tail, this.#next, row);
    this.#keys[base + TAIL] = row;
    this.#keys[base + COUNT]! += 1;
  }

  remove(key: number, row: number): void {
    const base = key * FIELDS;
    const previous = this.#rows.get(row, this.#previous);
    const next = this.#rows.get(row, this.#next);
    if (previous === 0) this.#keys[base + HEAD] = next;
    else this.#rows.set(previous, this.#next, next);
    if (next === 0) this.#keys[base + TAIL] = previous;
    else this.#rows.set(next, this.#previous, previous);
    this.#keys[base + COUNT]! -= 1;
  }

  #grow(atLeast: number): void {
    const grown = new Int32Array(Math.max(this.#keys.length * 2, atLeast + FIELDS));
    grown.set(this.#keys);
    this.#keys = grown;
  }
}
