/**
 * A ring: a byte queue over a SharedArrayBuffer between exactly one producer thread and one consumer
 * thread.
 *
 * Frames are length-prefixed and padded to four bytes. `head` counts the bytes ever published and
 * `tail` the bytes ever taken, both modulo 2^32 and on cache lines of their own, so that the two
 * threads never write the same line. The producer copies a frame in and then publishes it by moving
 * `head`; the consumer copies it out and then gives the room back by moving `tail`: neither ever sees
 * half a frame, and nobody keeps a view of the shared memory. A ring does not wait: see bell.ts.
 */
import assert from 'node:assert/strict';

/** Two lines: processors fetch cache lines of 64 bytes in pairs. */
const LINE_WORDS = 32;
const WORD_BYTES = 4;

const HEAD = 0;
const STALLS = 1;
const TAIL = LINE_WORDS;
const HEADER_WORDS = 2 * LINE_WORDS;

const LENGTH_BITS = 28;
const LENGTH_MASK = (1 << LENGTH_BITS) - 1;

/** Largest capacity: a frame's length must fit its prefix. */
const CAPACITY_BYTES_MAX = 1 << 27;
const CAPACITY_BYTES_MIN = 64;

/** Bytes of shared memory that a ring of `capacityBytes` occupies. */
export function ringMemoryBytes(capacityBytes: number): number {
  assert(
    capacityBytes >= CAPACITY_BYTES_MIN &&
      capacityBytes <= CAPACITY_BYTES_MAX &&
      (capacityBytes & (capacityBytes - 1)) === 0,
    `a ring holds a power of two between ${CAPACITY_BYTES_MIN} and ${CAPACITY_BYTES_MAX} bytes, not ${capacityBytes}`,
  );
  return HEADER_WORDS * WORD_BYTES + capacityBytes;
}

/** Where a ring lies in shared memory. The memory must start as zeros. */
export type RingPlace = {
  readonly memory: SharedArrayBuffer;
  readonly offsetBytes: number;
  readonly capacityBytes: number;
};

/** Bytes that a frame of `length` takes in a ring: its prefix, itself and its padding. */
function frameBytes(length: number): number {
  return WORD_BYTES + ((length + WORD_BYTES - 1) & ~(WORD_BYTES - 1));
}

type Views = {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly dataWords: Int32Array<SharedArrayBuffer>;
  readonly data: Uint8Array<SharedArrayBuffer>;
};

function viewsOf(place: RingPlace): Views {
  const { memory, offsetBytes, capacityBytes } = place;
  const dataOffset = offsetBytes + HEADER_WORDS * WORD_BYTES;
  assert(offsetBytes + ringMemoryBytes(capacityBytes) <= memory.byteLength, 'ring beyond memory');
  return {
    words: new Int32Array(memory, offsetBytes, HEADER_WORDS),
    dataWords: new Int32Array(memory, dataOffset, capacityBytes / WORD_BYTES),
    data: new Uint8Array(memory, dataOffset, capacityBytes),
  };
}

/** The producer's end of a ring. */
export class RingWriter {
  /** The longest frame that one write takes; longer ones travel as parts (frames.ts). */
  readonly frameBytesMax: number;
  readonly #capacity: number;
  readonly #views: Views;
  #head: number;
  #knownTail: number;

  constructor(place: RingPlace) {
    this.#capacity = place.capacityBytes;
    this.#views = viewsOf(place);
    // Half the ring, so that a consumer that has emptied half of it has always made enough room.
    this.frameBytesMax = this.#capacity / 2 - WORD_BYTES;
    this.#head = Atomics.load(this.#views.words, HEAD);
    this.#knownTail = Atomics.load(this.#views.words, TAIL);
  }

  /** Bytes published and not yet taken. */
  get depthBytes(): number {
    return (this.#head - Atomics.load(this.#views.words, TAIL)) >>> 0;
  }

  /** How often `tryWrite` found the ring full, modulo 2^32. */
  get stalls(): number {
    return Atomics.load(this.#views.words, STALLS) >>> 0;
  }

  /** Whether a frame of `length` bytes can be written now. */
  hasRoom(length: number): boolean {
    const need = frameBytes(length);
    if (this.#capacity - ((this.#head - this.#knownTail) >>> 0) >= need) return true;
    this.#knownTail = Atomics.load(this.#views.words, TAIL);
    return this.#capacity - ((this.#head - this.#knownTail) >>> 0) >= need;
  }

  /**
   * Copies a frame in and publishes it.
   *
   * @param frame at most `frameBytesMax` bytes
   * @param tag 0 to 7, for the layer above
   * @returns false, with nothing written, when there is no room
   */
  tryWrite(frame: Uint8Array, tag: number): boolean {
    const length = frame.length;
    assert(length <= this.frameBytesMax, `a frame of ${length} bytes must travel as parts`);
    if (!this.hasRoom(length)) {
      Atomics.add(this.#views.words, STALLS, 1);
      return false;
    }
    const { words, dataWords, data } = this.#views;
    const mask = this.#capacity - 1;
    dataWords[(this.#head & mask) >>> 2] = length | (tag << LENGTH_BITS);
    const at = (this.#head + WORD_BYTES) & mask;
    const first = this.#capacity - at;
    if (length <= first) {
      data.set(frame, at);
    } else {
      data.set(frame.subarray(0, first), at);
      data.set(frame.subarray(first), 0);
    }
    this.#head = (this.#head + frameBytes(length)) | 0;
    Atomics.store(words, HEAD, this.#head);
    return true;
  }
}

/** The consumer's end of a ring. */
export class RingReader {
  readonly #capacity: number;
  readonly #views: Views;
  #tail: number;
  #knownHead: number;

  constructor(place: RingPlace) {
    this.#capacity = place.capacityBytes;
    this.#views = viewsOf(place);
    this.#tail = Atomics.load(this.#views.words, TAIL);
    this.#knownHead = Atomics.load(this.#views.words, HEAD);
  }

  /** Bytes published and not yet taken. */
  get depthBytes(): number {
    return (Atomics.load(this.#views.words, HEAD) - this.#tail) >>> 0;
  }

  /** How often the producer found the ring full, modulo 2^32. */
  get stalls(): number {
    return Atomics.load(this.#views.words, STALLS) >>> 0;
  }

  /** Whether so much is free that the producer can write any frame. */
  get isHalfEmpty(): boolean {
    return this.depthBytes <= this.#capacity / 2;
  }

  /** Length in bytes of the oldest frame, or -1 when the ring is empty. */
  peekLength(): number {
    return this.#peek() ? this.#prefix() & LENGTH_MASK : -1;
  }

  /** Tag of the oldest frame; the ring must not be empty. */
  peekTag(): number {
    assert(this.#peek(), 'peekTag of an empty ring');
    return this.#prefix() >>> LENGTH_BITS;
  }

  /** Takes the oldest frame: copies it into `target` at `offset` and gives its room back. */
  take(target: Uint8Array, offset: number): void {
    const length = this.peekLength();
    assert(length >= 0, 'take from an empty ring');
    const { words, data } = this.#views;
    const at = (this.#tail + WORD_BYTES) & (this.#capacity - 1);
    const first = this.#capacity - at;
    if (length <= first) {
      target.set(data.subarray(at, at + length), offset);
    } else {
      target.set(data.subarray(at), offset);
      target.set(data.subarray(0, length - first), offset + first);
    }
    this.#tail = (this.#tail + frameBytes(length)) | 0;
    Atomics.store(words, TAIL, this.#tail);
  }

  #peek(): boolean {
    if (this.#knownHead !== this.#tail) return true;
    this.#knownHead = Atomics.load(this.#views.words, HEAD);
    return this.#knownHead !== this.#tail;
  }

  #prefix(): number {
    const word = this.#views.dataWords[(this.#tail & (this.#capacity - 1)) >>> 2];
    assert(word !== undefined, 'ring index out of range');
    return word;
  }
}
