/**
 * Rows by id, and by what their ids begin with. The ids stand in the rows' pages; here are only row
 * numbers, in open-addressed tables of typed arrays, one for each shard. A map would hold a reference
 * and two words on the collector's heap for each task, which a full collection has to look at.
 */
import assert from 'node:assert/strict';
import { isMixed, PrefixShards } from '../prefix-shards.ts';
import type { RowPages } from './row-pages.ts';

const PLACES_MIN = 8;

/** Row numbers by the hash of the id; 0 is a free place, and at least a quarter of them is free. */
class Table {
  places = new Int32Array(PLACES_MIN);
  size = 0;
}

/** FNV-1a over the characters, folded so that the low bits depend on all of them. */
function hashOf(id: string): number {
  let hash = 0x811c_9dc5 | 0;
  for (let i = 0; i < id.length; i += 1) hash = Math.imul(hash ^ id.charCodeAt(i), 0x0100_0193);
  return hash ^ (hash >>> 15);
}

export class RowIds {
  readonly #rows: RowPages;
  readonly #shards = new PrefixShards(() => new Table());
  /** What was looked up last: who looks an id up often writes it next. */
  #lastId: string | undefined;
  #lastRow = 0;

  constructor(rows: RowPages) {
    this.#rows = rows;
  }

  /** The row of an id; 0 for none. */
  get(id: string): number {
    if (id === this.#lastId) return this.#lastRow;
    const table = this.#shards.find(id);
    const row = table === undefined ? 0 : table.places[this.#placeOf(table, id)]!;
    this.#lastId = id;
    this.#lastRow = row;
    return row;
  }

  /** Adds a row, whose id no other one has. */
  add(row: number): void {
    this.#lastId = undefined;
    const id = this.#rows.id(row);
    const table = this.#shards.make(id);
    if ((table.size + 1) * 4 > table.places.length * 3) this.#grow(table);
    const at = this.#placeOf(table, id);
    assert(table.places[at] === 0, `a second row of ${id}`);
    table.places[at] = row;
    table.size += 1;
  }

  /** Removes a row, which still has its id. */
  remove(row: number): void {
    this.#lastId = undefined;
    const id = this.#rows.id(row);
    const table = this.#shards.find(id);
    const at = table === undefined ? 0 : this.#placeOf(table, id);
    assert(table !== undefined && table.places[at] === row, `row ${row} of ${id} is not there`);
    table.size -= 1;
    if (table.size === 0) this.#shards.drop(id);
    else this.#close(table, at);
  }

  /** The different first characters of ids, two of each, or the whole of a shorter id. */
  beginnings(): readonly string[] {
    const found = new Set<string>();
    for (const { places } of this.#shards.all()) {
      for (const row of places) {
        if (row === 0) continue;
        const id = this.#rows.id(row);
        found.add(id.slice(0, 2));
        if (!isMixed(id)) break;
      }
    }
    return [...found];
  }

  /** Rows of every id that begins with `prefix`. */
  *withPrefix(prefix: string): Generator<number> {
    for (const { places } of this.#shards.beginning(prefix)) {
      for (const row of places) {
        if (row !== 0 && this.#rows.id(row).startsWith(prefix)) yield row;
      }
    }
  }

  /** Where the id's row stands, or where it would be put. */
  #placeOf({ places }: Table, id: string): number {
    const mask = places.length - 1;
    let at = hashOf(id) & mask;
    for (;;) {
      const row = places[at]!;
      if (row === 0 || this.#rows.id(row) === id) return at;
      at = (at + 1) & mask;
    }
  }

  #grow(table: Table): void {
    const { places } = table;
    table.places = new Int32Array(places.length * 2);
    for (const row of places) {
      if (row !== 0) table.places[this.#placeOf(table, this.#rows.id(row))] = row;
    }
  }

  /** Frees a place, and moves those behind it up that would not be found past a free one. */
  #close({ places }: Table, free: number): void {
    const mask = places.length - 1;
    let gap = free;
    for (let at = (gap + 1) & mask; places[at] !== 0; at = (at + 1) & mask) {
      const row = places[at]!;
      const wanted = hashOf(this.#rows.id(row)) & mask;
      if (((at - wanted) & mask) < ((at - gap) & mask)) continue;
      places[gap] = row;
      gap = at;
    }
    places[gap] = 0;
  }
}
