/**
 * The two halves of protobuf's wire format that the generated codecs stand on.
 *
 * A message is written from its end to its start: when a nested message's length is due, the
 * message already stands behind it, so nothing is measured twice and nothing is moved. One scratch
 * buffer serves all writers of a thread; `finish` copies the bytes out.
 *
 * Reading refuses what it cannot represent: a truncated message, a wrong wire type, a group, or a
 * 64-bit value that a JavaScript number cannot hold exactly (fields that use the whole range are
 * bigints). Unknown fields are skipped, as every SwarmKit manager does.
 */

/** A message could not be decoded: `detail` says what is wrong and where. */
export class WireError extends Error {
  override readonly name = 'WireError';
}

/** What a generated codec offers for its message type. */
export type Codec<T> = {
  /** Full protobuf name, e.g. `docker.swarmkit.v1.Task`. */
  readonly name: string;
  /** The message with every field that `init` leaves out at its default. */
  create(init?: Init<T>): T;
  encode(message: T): Uint8Array;
  /** @throws WireError when the bytes are not a message of this type. */
  decode(bytes: Uint8Array): T;
  /** Writes the message's fields in front of what `writer` holds. */
  write(writer: Writer, message: T): void;
  /** Reads fields until `end`. */
  read(reader: Reader, end: number): T;
};

/** What `create` takes: any part of a message, at any depth. */
export type Init<T> = T extends Uint8Array | string | number | bigint | boolean | undefined
  ? T
  : T extends readonly (infer U)[]
    ? readonly Init<U>[]
    : T extends { readonly case: infer C; readonly value: infer V }
      ? { readonly case: C; readonly value: Init<V> }
      : string extends keyof T
        ? { readonly [K in keyof T]: Init<T[K]> }
        : { readonly [K in keyof T]?: Init<T[K]> | undefined };

/** Field numbers of a map entry. */
export const ENTRY: ReadonlySet<number> = new Set([1, 2]);

export const EMPTY_BYTES: Uint8Array = new Uint8Array(0);

const TWO_32 = 0x1_0000_0000;
const DEPTH_MAX = 64;

/** Writes from the end of a growing buffer towards its start. */
export class Writer {
  #buffer: Buffer;
  /** Index of the first byte written so far. */
  #start: number;

  constructor(capacityBytes = 65_536) {
    this.#buffer = Buffer.allocUnsafeSlow(capacityBytes);
    this.#start = capacityBytes;
  }

  /** A mark for `close`: how many bytes stand behind the position now. */
  get length(): number {
    return this.#buffer.length - this.#start;
  }

  /** Makes room for `bytes` more in front. */
  #ensure(bytes: number): void {
    if (this.#start >= bytes) return;
    const used = this.length;
    const grown = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, used + bytes + 1024));
    this.#buffer.copy(grown, grown.length - used, this.#start);
    this.#buffer = grown;
    this.#start = grown.length - used;
  }

  /** An unsigned integer below 2^53. */
  varint(value: number): void {
    this.#ensure(10);
    if (value < 0x80 && value >= 0) {
      this.#buffer[--this.#start] = value;
      return;
    }
    if (value < 0 || !Number.isSafeInteger(value))
      throw new RangeError(`${value} is no unsigned integer`);
    let size = 1;
    for (let rest = value; rest >= 0x80; rest = Math.floor(rest / 0x80)) size += 1;
    let at = (this.#start -= size);
    let rest = value;
    for (; rest >= TWO_32; rest = Math.floor(rest / 0x80)) {
      this.#buffer[at++] = (rest % 0x80) | 0x80;
    }
    for (rest >>>= 0; rest >= 0x80; rest >>>= 7) this.#buffer[at++] = (rest & 0x7f) | 0x80;
    this.#buffer[at] = rest;
  }

  /** A signed integer as protobuf's int32, int64 and enums do it: negatives take ten bytes. */
  signed(value: number): void {
    if (value >= 0) this.varint(value);
    else this.wide(BigInt(value)); // BigInt refuses fractions
  }

  /** A 64-bit integer of either sign over its whole range. */
  wide(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    if (rest <= 0x1f_ffff_ffff_ffffn) {
      this.varint(Number(rest));
      return;
    }
    this.#ensure(10);
    let size = 1;
    for (let r = rest; r >= 0x80n; r >>= 7n) size += 1;
    let at = (this.#start -= size);
    for (; rest >= 0x80n; rest >>= 7n) this.#buffer[at++] = Number(rest & 0x7fn) | 0x80;
    this.#buffer[at] = Number(rest);
  }

  bool(value: boolean): void {
    this.varint(value ? 1 : 0);
  }

  float(value: number): void {
    this.#ensure(4);
    this.#buffer.writeFloatLE(value, (this.#start -= 4));
  }

  double(value: number): void {
    this.#ensure(8);
    this.#buffer.writeDoubleLE(value, (this.#start -= 8));
  }

  /** A length-delimited string. */
  string(value: string): void {
    const units = value.length;
    this.#ensure(units * 3 + 10);
    if (units < 48 && this.#ascii(value)) {
      this.varint(units);
      return;
    }
    const size = Buffer.byteLength(value);
    this.#buffer.write(value, (this.#start -= size), size, 'utf8');
    this.varint(size);
  }

  #ascii(value: string): boolean {
    const from = this.#start - value.length;
    for (let i = 0; i < value.length; i += 1) {
      const unit = value.charCodeAt(i);
      if (unit >= 0x80) return false;
      this.#buffer[from + i] = unit;
    }
    this.#start = from;
    return true;
  }

  /** Length-delimited bytes. */
  bytes(value: Uint8Array): void {
    this.raw(value);
    this.varint(value.length);
  }

  /** Bytes as they are: fields that were encoded before. */
  raw(value: Uint8Array): void {
    this.#ensure(value.length);
    this.#buffer.set(value, (this.#start -= value.length));
  }

  /** Writes the length of all that was written since `mark` (a former `length`). */
  close(mark: number): void {
    this.varint(this.length - mark);
  }

  /** The bytes written so far, copied; the writer is empty again. */
  finish(): Uint8Array {
    const out = new Uint8Array(this.length);
    out.set(this.#buffer.subarray(this.#start));
    this.#start = this.#buffer.length;
    return out;
  }

  /** The bytes written so far where they stand, until the next write; the writer is empty again. */
  take(): Uint8Array {
    const out = this.#buffer.subarray(this.#start);
    this.#start = this.#buffer.length;
    return out;
  }

  /** Forgets what was written, after a failure. */
  reset(): void {
    this.#start = this.#buffer.length;
  }
}

/** Reads from a byte array; every getter moves on and checks the bounds. */
export class Reader {
  readonly #buffer: Buffer;
  position: number;
  readonly end: number;
  #depth = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = 0;
    this.end = bytes.byteLength;
  }

  /** A field's tag; refuses field number 0. */
  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag > 0xffff_ffff) throw new WireError(`invalid tag ${tag}`);
    return tag;
  }

  /** An unsigned varint that a number holds exactly. */
  varint(): number {
    const buffer = this.#buffer;
    let value = 0;
    let scale = 1;
    for (let i = 0; i < 10; i += 1) {
      if (this.position >= this.end) throw new WireError('unexpected end of message');
      const byte = buffer[this.position++] ?? 0;
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) {
        if (value <= Number.MAX_SAFE_INTEGER) return value;
        this.position -= i + 1;
        throw new WireError(`integer ${this.wide()} is out of range`);
      }
      scale *= 0x80;
    }
    throw new WireError('varint is longer than ten bytes');
  }

  /** The low 32 bits of a varint, unsigned. */
  uint32(): number {
    return this.int32() >>> 0;
  }

  /** The low 32 bits of a varint, signed (also enums). */
  int32(): number {
    let value = 0;
    for (let i = 0; i < 10; i += 1) {
      if (this.position >= this.end) throw new WireError('unexpected end of message');
      const byte = this.#buffer[this.position++] ?? 0;
      if (i < 5) value |= (byte & 0x7f) << (7 * i);
      if (byte < 0x80) return value;
    }
    throw new WireError('varint is longer than ten bytes');
  }

  /** A signed 64-bit integer that a number holds exactly. */
  int64(): number {
    const from = this.position;
    let i = from;
    while (i < this.end && (this.#buffer[i] ?? 0) >= 0x80) i += 1;
    if (i - from < 7) return this.varint();
    const value = BigInt.asIntN(64, this.wide());
    const exact = Number(value);
    if (!Number.isSafeInteger(exact)) throw new WireError(`integer ${value} is out of range`);
    return exact;
  }

  /** An unsigned 64-bit integer over its whole range. */
  wide(): bigint {
    let value = 0n;
    let shift = 0n;
    for (let i = 0; i < 10; i += 1) {
      if (this.position >= this.end) throw new WireError('unexpected end of message');
      const byte = this.#buffer[this.position++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
      shift += 7n;
    }
    throw new WireError('varint is longer than ten bytes');
  }

  bool(): boolean {
    return this.wide() !== 0n;
  }

  float(): number {
    const at = this.#take(4);
    return this.#buffer.readFloatLE(at);
  }

  double(): number {
    const at = this.#take(8);
    return this.#buffer.readDoubleLE(at);
  }

  string(): string {
    const size = this.varint();
    const at = this.#take(size);
    const buffer = this.#buffer;
    if (size >= 24) return buffer.toString('utf8', at, at + size);
    let text = '';
    for (let i = at; i < at + size; i += 1) {
      const byte = buffer[i] ?? 0;
      if (byte >= 0x80) return buffer.toString('utf8', at, at + size);
      text += String.fromCharCode(byte);
    }
    return text;
  }

  /** Bytes, copied, so that a small field never keeps a large message alive. */
  bytes(): Uint8Array {
    const size = this.varint();
    const at = this.#take(size);
    return new Uint8Array(this.#buffer.subarray(at, at + size));
  }

  /** A view of the next length-delimited field's content, not copied. */
  view(): Uint8Array {
    const size = this.varint();
    const at = this.#take(size);
    return this.#buffer.subarray(at, at + size);
  }

  /** The end of a nested message whose length stands here. */
  nested(outerEnd: number): number {
    const size = this.varint();
    const end = this.position + size;
    if (end > outerEnd) throw new WireError('nested message is longer than its parent');
    this.#depth += 1;
    if (this.#depth > DEPTH_MAX) throw new WireError(`more than ${DEPTH_MAX} nested messages`);
    return end;
  }

  /** Leaves a nested message that must have been read to `end`. */
  leave(end: number): void {
    if (this.position !== end) throw new WireError('nested message has the wrong length');
    this.#depth -= 1;
  }

  /** Moves over a field that nobody knows; a field of `known` came with the wrong wire type. */
  skip(tag: number, known: ReadonlySet<number>): void {
    if (known.has(tag >>> 3)) {
      throw new WireError(`field ${tag >>> 3} has the wrong wire type ${tag & 7}`);
    }
    switch (tag & 7) {
      case 0:
        this.wide();
        return;
      case 1:
        this.#take(8);
        return;
      case 2:
        this.#take(this.varint());
        return;
      case 5:
        this.#take(4);
        return;
      default:
        throw new WireError(`unsupported wire type ${tag & 7} of field ${tag >>> 3}`);
    }
  }

  #take(size: number): number {
    const at = this.position;
    if (size > this.end - at) throw new WireError('unexpected end of message');
    this.position = at + size;
    return at;
  }
}

/** Sets a map entry; `__proto__` becomes an ordinary key. */
export function setEntry<V>(map: Record<string, V>, key: string, value: V): void {
  if (key === '__proto__') {
    Object.defineProperty(map, key, {
      value,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  } else {
    map[key] = value;
  }
}

const scratch = new Writer();

/** Encodes with the thread's scratch buffer. `write` must not call back into `encodeWith`. */
export function encodeWith<T>(write: (writer: Writer, message: T) => void, message: T): Uint8Array {
  try {
    write(scratch, message);
    return scratch.finish();
  } catch (error) {
    scratch.reset();
    throw error;
  }
}

export function decodeWith<T>(
  name: string,
  read: (reader: Reader, end: number) => T,
  bytes: Uint8Array,
): T {
  const reader = new Reader(bytes);
  try {
    return read(reader, reader.end);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new WireError(`${name}: ${error.message} (at byte ${reader.position})`);
  }
}
