/** Rows with all the lists they stand in: one set is what is committed, a second the overlay. */
import assert from 'node:assert/strict';
import { RowLists } from './row-lists.ts';
import { FLOAT, PLACE, WORD, type RowPages } from './row-pages.ts';
import { SlotIndex } from './slot-index.ts';

/** The lists that a row stands in by one number of its content. */
export type ListName = 'service' | 'node' | 'state' | 'desired' | 'shared';

/** States are multiples of 32 below 1024, and anything else (never written by us) shares a list. */
export const OTHER_STATES = 32;
export function stateKey(state: number): number {
  return state >= 0 && state < 1024 && state % 32 === 0 ? state >>> 5 : OTHER_STATES;
}

export class RowSet {
  readonly #rows: RowPages;
  readonly service: RowLists;
  readonly node: RowLists;
  readonly state: RowLists;
  readonly desired: RowLists;
  readonly shared: RowLists;
  readonly slots: SlotIndex;
  readonly #place: number;
  #size = 0;
  #shadowed = 0;

  /** `place` is what a row of this set has for its `WORD.place`. */
  constructor(rows: RowPages, place: number) {
    this.#rows = rows;
    this.#place = place;
    this.service = new RowLists(rows, WORD.serviceLinks);
    this.node = new RowLists(rows, WORD.nodeLinks);
    this.state = new RowLists(rows, WORD.stateLinks);
    this.desired = new RowLists(rows, WORD.desiredLinks);
    this.shared = new RowLists(rows, WORD.sharedLinks);
    this.slots = new SlotIndex(rows);
  }

  get size(): number {
    return this.#size;
  }

  /** Rows that the head shows differently or not at all. */
  get shadowedSize(): number {
    return this.#shadowed;
  }

  add(row: number): void {
    const rows = this.#rows;
    assert(rows.get(row, WORD.place) === PLACE.loose, `row ${row} is in a set`);
    rows.set(row, WORD.place, this.#place);
    this.service.add(rows.get(row, WORD.service), row);
    this.node.add(rows.get(row, WORD.node), row);
    this.state.add(stateKey(rows.get(row, WORD.state)), row);
    this.desired.add(stateKey(rows.get(row, WORD.desired)), row);
    this.shared.add(rows.get(row, WORD.shared), row);
    this.slots.add(row);
    this.#size += 1;
  }

  remove(row: number): void {
    const rows = this.#rows;
    assert(rows.get(row, WORD.place) === this.#place, `row ${row} is not in the set`);
    rows.set(row, WORD.place, PLACE.loose);
    this.service.remove(rows.get(row, WORD.service), row);
    this.node.remove(rows.get(row, WORD.node), row);
    this.state.remove(stateKey(rows.get(row, WORD.state)), row);
    this.desired.remove(stateKey(rows.get(row, WORD.desired)), row);
    this.shared.remove(rows.get(row, WORD.shared), row);
    this.slots.remove(row);
    this.#size -= 1;
  }

  /**
   * Gives a row of the set the content of a loose one, and that one its own. Lists in which the row
   * stays are not touched: a task that changes state moves in one list, not in six.
   */
  exchange(row: number, loose: number): void {
    const rows = this.#rows;
    assert(rows.get(row, WORD.place) === this.#place, `row ${row} is not in the set`);
    const service = move(this.service, rows, { word: WORD.service, row, loose });
    const node = move(this.node, rows, { word: WORD.node, row, loose });
    const state = move(this.state, rows, { word: WORD.state, row, loose, key: stateKey });
    const desired = move(this.desired, rows, { word: WORD.desired, row, loose, key: stateKey });
    const shared = move(this.shared, rows, { word: WORD.shared, row, loose });
    const slots = service || rows.getFloat(row, FLOAT.slot) !== rows.getFloat(loose, FLOAT.slot);
    if (slots) this.slots.remove(row);
    rows.swapContents(row, loose);
    if (service) this.service.add(rows.get(row, WORD.service), row);
    if (node) this.node.add(rows.get(row, WORD.node), row);
    if (state) this.state.add(stateKey(rows.get(row, WORD.state)), row);
    if (desired) this.desired.add(stateKey(rows.get(row, WORD.desired)), row);
    if (shared) this.shared.add(rows.get(row, WORD.shared), row);
    if (slots) this.slots.add(row);
  }

  /** Notes that the head shows the row differently (1), or as it is again (-1). */
  shadow(row: number, by: 1 | -1): void {
    const rows = this.#rows;
    rows.set(row, WORD.shadowed, by === 1 ? 1 : 0);
    this.#shadowed += by;
    this.service.shadow(rows.get(row, WORD.service), by);
    this.node.shadow(rows.get(row, WORD.node), by);
    this.desired.shadow(stateKey(rows.get(row, WORD.desired)), by);
  }
}

type Move = {
  readonly word: number;
  readonly row: number;
  readonly loose: number;
  readonly key?: (value: number) => number;
};

/** Takes the row from a list that its new content does not belong to; whether it did. */
function move(list: RowLists, rows: RowPages, { word, row, loose, key }: Move): boolean {
  const value = rows.get(row, word);
  const other = rows.get(loose, word);
  if (value === other) return false;
  const from = key === undefined ? value : key(value);
  list.remove(from, row);
  return true;
}
