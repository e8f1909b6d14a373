/**
 * Frames of any size over a ring: a frame that is too long for one write travels as parts and is put
 * together again on the other side, bounded by a stated maximum.
 */
import assert from 'node:assert/strict';
import { LaneError } from './lane-error.ts';
import type { RingReader, RingWriter } from './ring.ts';

/** Tag bit: more parts of this frame follow. The other two bits belong to the layer above. */
const MORE = 1;

/** Between frames a reader keeps a buffer of at most this size. */
const KEPT_BYTES_MAX = 1 << 20;

/** Writes frames, resuming where the ring was full. */
export class FrameWriter {
  readonly #ring: RingWriter;
  readonly #partBytes: number;

  constructor(ring: RingWriter) {
    this.#ring = ring;
    this.#partBytes = ring.frameBytesMax >>> 1;
  }

  /**
   * Writes as much of a frame as there is room for.
   *
   * @param offset where an earlier call stopped, 0 at first
   * @param tag 0 to 3; told to the reader with the frame
   * @returns undefined when the whole frame is written, otherwise the offset to go on from. Until
   *   then no other frame may be written.
   */
  write(frame: Uint8Array, offset: number, tag: number): number | undefined {
    if (offset === 0 && frame.length <= this.#ring.frameBytesMax) {
      return this.#ring.tryWrite(frame, tag << 1) ? undefined : 0;
    }
    let at = offset;
    while (at < frame.length) {
      const end = Math.min(at + this.#partBytes, frame.length);
      const more = end < frame.length ? MORE : 0;
      if (!this.#ring.tryWrite(frame.subarray(at, end), (tag << 1) | more)) return at;
      at = end;
    }
    return undefined;
  }

  /** Whether `write` of this frame from this offset would make progress now. */
  canWrite(frame: Uint8Array, offset: number): boolean {
    const left = frame.length - offset;
    const whole = offset === 0 && left <= this.#ring.frameBytesMax;
    return this.#ring.hasRoom(whole ? left : Math.min(left, this.#partBytes));
  }
}

/** A frame as read: private memory of the reader, valid until its next `read`. */
export type Frame = { readonly bytes: Buffer; readonly tag: number };

/** Reads frames and puts parts together. */
export class FrameReader {
  readonly #ring: RingReader;
  readonly #frameBytesMax: number;
  #buffer = Buffer.allocUnsafeSlow(4096);
  #filled = 0;
  #whole = true;

  constructor(ring: RingReader, frameBytesMax: number) {
    this.#ring = ring;
    this.#frameBytesMax = frameBytesMax;
  }

  /**
   * Takes what the ring holds up to the end of the oldest frame.
   *
   * @returns undefined when no whole frame is there yet
   * @throws LaneError `FRAME_TOO_LONG` when the parts exceed the maximum
   */
  read(): Frame | undefined {
    if (this.#whole) this.#reset();
    for (;;) {
      const length = this.#ring.peekLength();
      if (length < 0) return undefined;
      const tag = this.#ring.peekTag();
      this.#reserve(this.#filled + length);
      this.#ring.take(this.#buffer, this.#filled);
      this.#filled += length;
      this.#whole = (tag & MORE) === 0;
      if (this.#whole) return { bytes: this.#buffer.subarray(0, this.#filled), tag: tag >>> 1 };
    }
  }

  #reset(): void {
    this.#filled = 0;
    if (this.#buffer.length > KEPT_BYTES_MAX) this.#buffer = Buffer.allocUnsafeSlow(4096);
  }

  #reserve(length: number): void {
    if (length > this.#frameBytesMax) {
      throw new LaneError(
        'FRAME_TOO_LONG',
        `a frame of more than ${this.#frameBytesMax} bytes arrived on a lane`,
      );
    }
    if (length <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(length, this.#buffer.length * 2));
    const copied = this.#buffer.copy(grown, 0, 0, this.#filled);
    assert.equal(copied, this.#filled);
    this.#buffer = grown;
  }
}
