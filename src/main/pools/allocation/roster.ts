/**
 * The numbers under which the objects of the store are known to a thread. A number is never used
 * twice in the life of the roster.
 */

/** The highest number: columns of numbers are 32-bit. */
const HANDLE_MAX = 2 ** 31 - 1;

export type Known = { readonly handle: number };

/** Hands out numbers, rising from 1. */
export class Handles {
  #last = 0;

  next(): number {
    this.#last += 1;
    return this.#last;
  }

  /** Whether the numbers run low, so that everything should be numbered anew. */
  get isLow(): boolean {
    return this.#last > HANDLE_MAX - 10_000_000;
  }
}

/** Objects of one kind, by id and by number. */
export class Roster<K extends Known> {
  readonly #byId = new Map<string, K>();
  readonly #ids = new Map<number, string>();

  get size(): number {
    return this.#byId.size;
  }

  get(id: string): K | undefined {
    return this.#byId.get(id);
  }

  has(id: string): boolean {
    return this.#byId.has(id);
  }

  /** The id behind a number; undefined when the object is no longer known. */
  idOf(handle: number): string | undefined {
    return this.#ids.get(handle);
  }

  set(id: string, known: K): K {
    this.#byId.set(id, known);
    this.#ids.set(known.handle, id);
    return known;
  }

  delete(id: string): void {
    const known = this.#byId.get(id);
    if (known === undefined) return;
    this.#byId.delete(id);
    this.#ids.delete(known.handle);
  }
}
