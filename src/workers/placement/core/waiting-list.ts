/**
 * The shapes with waiting tasks, in the order in which they began to wait. A turn takes them from the
 * front and puts back, in their order, those that still wait; the others behind are not touched. A
 * shape that is dropped leaves a place that says nothing, known by its ticket, which is out of date.
 */
import { grownInt32, largest, type Int32List } from '../../../shared/kit/columns.ts';

const NOBODY = -1;
const TICKETS_MAX = 0x7fffffff;

export class WaitingList {
  /** Shapes, each followed by its ticket. */
  #places = new Int32Array(128);
  #from = 0;
  #to = 0;
  /** The ticket of each shape that is on the list, else 0. */
  #tickets = new Int32Array(64);
  #lastTicket = 0;

  /** How many places there are. */
  get length(): number {
    return this.#to - this.#from;
  }

  /** The shape at a place, 0 for the first; -1 when it was dropped. */
  at(place: number): number {
    const at = 2 * (this.#from + place);
    const shape = this.#places[at] ?? NOBODY;
    return this.#tickets[shape] === this.#places[at + 1] ? shape : NOBODY;
  }

  /** Adds shapes at the end, except those that are on the list. */
  add(shapes: Int32Array): void {
    this.#tickets = grownInt32(this.#tickets, largest(shapes));
    if (2 * (this.#to + shapes.length) > this.#places.length) this.#makeRoom(shapes.length);
    const tickets = this.#tickets;
    for (let i = 0; i < shapes.length; i++) {
      const shape = shapes[i]!;
      if (tickets[shape] !== 0) continue;
      this.#lastTicket = (this.#lastTicket % TICKETS_MAX) + 1;
      tickets[shape] = this.#lastTicket;
      this.#put(this.#to++, shape);
    }
  }

  drop(shape: number): void {
    this.#tickets[shape] = 0;
  }

  /** Replaces the first `taken` places by the given shapes, which were there and not dropped. */
  putBack(taken: number, shapes: Int32List): void {
    this.#from += taken - shapes.length;
    for (let i = 0; i < shapes.length; i++) this.#put(this.#from + i, shapes.at(i));
    if (this.#from < this.#to) return;
    this.#from = 0;
    this.#to = 0;
  }

  #put(place: number, shape: number): void {
    this.#places[2 * place] = shape;
    this.#places[2 * place + 1] = this.#tickets[shape] ?? 0;
  }

  /** Room for so many places more: in front, where at least half of all is, else behind. */
  #makeRoom(count: number): void {
    if (this.#from >= this.#to >> 1) {
      this.#places.copyWithin(0, 2 * this.#from, 2 * this.#to);
      this.#to -= this.#from;
      this.#from = 0;
    }
    this.#places = grownInt32(this.#places, 2 * (this.#to + count) - 1);
  }
}
