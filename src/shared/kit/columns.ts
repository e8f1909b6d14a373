/** Typed arrays that grow: columns indexed by small numbers, and lists. */

/** The column itself when it has room for `index`, else a copy of at least twice the size. */
export function grownInt32(
  column: Int32Array<ArrayBuffer>,
  index: number,
  fill = 0,
): Int32Array<ArrayBuffer> {
  if (index < column.length) return column;
  const grown = new Int32Array(grownLength(column.length, index));
  // Zeros are there already: writing them would only have the memory made before it is needed.
  if (fill !== 0) grown.fill(fill, column.length);
  grown.set(column);
  return grown;
}

/** As `grownInt32`, for bytes. */
export function grownUint8(
  column: Uint8Array<ArrayBuffer>,
  index: number,
): Uint8Array<ArrayBuffer> {
  if (index < column.length) return column;
  const grown = new Uint8Array(grownLength(column.length, index));
  grown.set(column);
  return grown;
}

/** As `grownInt32`, for numbers above 32 bits. */
export function grownFloat64(
  column: Float64Array<ArrayBuffer>,
  index: number,
): Float64Array<ArrayBuffer> {
  if (index < column.length) return column;
  const grown = new Float64Array(grownLength(column.length, index));
  grown.set(column);
  return grown;
}

/** Who asks for much at once mostly needs a little more soon, and should not pay for twice as much then. */
function grownLength(length: number, index: number): number {
  return Math.max(64, length * 2, index + 1 + (index >> 2));
}

/** The largest number of a column, or -1 when all are below 0 or there is none: up to where other columns reach. */
export function largest(column: Int32Array): number {
  let most = -1;
  for (let i = 0; i < column.length; i++) most = Math.max(most, column[i]!);
  return most;
}

/** Whole numbers appended one by one, kept in one typed array. */
export class Int32List {
  #values = new Int32Array(64);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Makes room for so many numbers in all. */
  reserve(length: number): void {
    if (length > 0) this.#values = grownInt32(this.#values, length - 1);
  }

  /** The numbers themselves, and room behind them: to be asked for anew when the list has grown. */
  get values(): Int32Array {
    return this.#values;
  }

  /** Makes the list longer by so many numbers, which the caller writes. @returns where they begin */
  extend(count: number): number {
    const from = this.#length;
    this.reserve(from + count);
    this.#length = from + count;
    return from;
  }

  push(value: number): void {
    if (this.#length === this.#values.length) {
      this.#values = grownInt32(this.#values, this.#length);
    }
    this.#values[this.#length++] = value;
  }

  /** Appends what is in another list. */
  append(list: Int32List): void {
    const end = this.#length + list.#length;
    this.reserve(end);
    const [from, to] = [list.#values, this.#values];
    for (let i = 0, at = this.#length; at < end; i++, at++) to[at] = from[i]!;
    this.#length = end;
  }

  at(index: number): number {
    return this.#values[index] ?? 0;
  }

  clear(): void {
    this.#length = 0;
  }

  /** What is in the list, in an array of its own. */
  copy(): Int32Array<ArrayBuffer> {
    return this.#values.slice(0, this.#length);
  }
}
