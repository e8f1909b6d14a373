/**
 * The messages of a lane as msgpack: each distinct shape of object is described once and then named
 * by one byte (msgpackr's records), in sequence.
 *
 * The two ends agree because they see the same bytes in the same order: an encoder and its decoder
 * start empty together, live exactly as long as one lane, and every byte encoded is decoded. After a
 * message that could not be encoded the encoder starts afresh and says so with its next frame.
 *
 * Typed arrays, Map, Set, Date, bigint and `undefined` pass unchanged, and decoded values never share
 * memory with the frame. Objects of a few fixed shapes are cheap; for a dictionary with arbitrary
 * keys send a Map or pairs, since every new set of keys is one more shape to describe.
 */
import { Packr, RESET_BUFFER_MODE, Unpackr } from 'msgpackr';
import { LaneError } from './lane-error.ts';

/** Shapes remembered at a time; more are right but are described again (one byte names 64). */
const SHAPES_MAX = 64;

/** The packing buffer is shared by the whole thread; after a message above this it is given back. */
const KEPT_BYTES_MAX = 1 << 20;

function options(): ConstructorParameters<typeof Packr>[0] {
  return { sequential: true, moreTypes: true, copyBuffers: true, maxOwnStructures: SHAPES_MAX };
}

export class Encoder {
  #packr = new Packr(options());

  /**
   * @returns the encoded message, valid until the next call in this thread
   * @throws LaneError `NOT_ENCODABLE`; then call `restart` before the next message
   */
  encode(message: unknown): Uint8Array {
    try {
      const bytes = this.#packr.pack(message, RESET_BUFFER_MODE);
      if (bytes.length > KEPT_BYTES_MAX) this.#packr.useBuffer(Buffer.allocUnsafeSlow(65_536));
      return bytes;
    } catch (error) {
      throw new LaneError('NOT_ENCODABLE', `a message cannot be encoded: ${String(error)}`, {
        cause: error,
      });
    }
  }

  /** Forgets all shapes; the decoder must do so too before what follows. */
  restart(): void {
    this.#packr = new Packr(options());
  }
}

export class Decoder<Message> {
  #unpackr = new Unpackr(options());

  /**
   * Decodes the messages of one frame, in order. That they are of the type is a promise of the two
   * ends, which come from one source tree.
   *
   * @throws LaneError `NOT_DECODABLE`; the lane is then of no more use
   */
  decode(frame: Uint8Array): Message[] {
    try {
      return this.#unpackr.unpackMultiple(frame);
    } catch (error) {
      throw new LaneError('NOT_DECODABLE', `a frame cannot be decoded: ${String(error)}`, {
        cause: error,
      });
    }
  }

  restart(): void {
    this.#unpackr = new Unpackr(options());
  }
}
