/** Strings that many rows share (ids of services and nodes, messages), as small numbers. */
import assert from 'node:assert/strict';
import { PrefixMap } from '../prefix-map.ts';

/** Numbers are dense and used again once nobody holds them. 0 is the empty string, held by all. */
export class Interner {
  readonly #numbers = new PrefixMap<number>();
  readonly #texts: string[] = [''];
  readonly #byteLengths: number[] = [0];
  readonly #holders: number[] = [0];
  readonly #free: number[] = [];
  /** The string that was added last: bulk writes say the same over and over. */
  #last = 0;

  /** Strings held now, besides the empty one. */
  get size(): number {
    return this.#numbers.size;
  }

  /** The string's number, with one holder more. */
  add(text: string): number {
    if (text === '') return 0;
    const last = this.#last;
    const known = this.#texts[last] === text ? last : this.#numbers.get(text);
    if (known !== undefined) {
      this.#last = known;
      this.#holders[known]! += 1;
      return known;
    }
    const number = this.#free.pop() ?? this.#texts.length;
    this.#numbers.set(text, number);
    this.#texts[number] = text;
    this.#byteLengths[number] = Buffer.byteLength(text);
    this.#holders[number] = 1;
    return number;
  }

  hold(number: number): void {
    if (number !== 0) this.#holders[number]! += 1;
  }

  release(number: number): void {
    if (number === 0) return;
    const holders = (this.#holders[number]! -= 1);
    assert(holders >= 0, `string ${number} was released too often`);
    if (holders > 0) return;
    this.#numbers.delete(this.text(number));
    this.#texts[number] = '';
    this.#free.push(number);
  }

  /** The number of a string that somebody holds. */
  find(text: string): number | undefined {
    return text === '' ? 0 : this.#numbers.get(text);
  }

  text(number: number): string {
    return this.#texts[number]!;
  }

  /** UTF-8 bytes of the string. */
  byteLength(number: number): number {
    return this.#byteLengths[number]!;
  }
}
