/** gRPC's framing: every message behind one byte of flags and four of length. */
import { Code, RpcError } from './errors.ts';

const HEAD_BYTES = 5;

/** The message in its frame. */
export function frame(message: Uint8Array): Buffer {
  const framed = Buffer.allocUnsafe(HEAD_BYTES + message.length);
  framed[0] = 0;
  framed.writeUInt32BE(message.length, 1);
  framed.set(message, HEAD_BYTES);
  return framed;
}

const NONE: readonly Buffer[] = [];

/** What a reader takes. */
export type FrameLimits = {
  /** The largest message. */
  readonly messageBytesMax: number;
  /**
   * What messages that are marked as compressed are compressed with. Marked messages that are as they
   * were are taken, all others refused; so are all when this is unknown.
   */
  readonly encoding?: string | undefined;
};

const ANY: FrameLimits = { messageBytesMax: Infinity };

/** Cuts a stream of bytes into messages, however it was chopped on the way. */
export class FrameReader {
  readonly #limits: FrameLimits;
  /** Bytes of a message that is not complete yet, with its head. */
  #parts: Buffer[] | undefined;
  #bytes = 0;
  /** How many bytes make the next step possible: a head, or a head with its message. */
  #wanted = HEAD_BYTES;

  constructor(limits: FrameLimits = ANY) {
    this.#limits = limits;
  }

  /**
   * The messages that `chunk` completes. They are views, valid while the caller works on them.
   *
   * @throws RpcError Internal or Unimplemented for a compressed message, ResourceExhausted for one that
   * is too large.
   */
  push(chunk: Buffer): readonly Buffer[] {
    if (this.#bytes + chunk.length < this.#wanted) {
      this.#keep(chunk);
      return NONE;
    }
    const bytes = this.#parts === undefined ? chunk : Buffer.concat([...this.#parts, chunk]);
    this.#parts = undefined;
    this.#bytes = 0;
    const messages: Buffer[] = [];
    let from = 0;
    for (;;) {
      this.#wanted = this.#frameBytes(bytes, from);
      const end = from + this.#wanted;
      if (bytes.length < end) break;
      messages.push(bytes.subarray(from + HEAD_BYTES, end));
      from = end;
    }
    if (from < bytes.length) this.#keep(bytes.subarray(from));
    return messages;
  }

  /** Whether part of a message has arrived. */
  get partial(): boolean {
    return this.#bytes > 0;
  }

  #keep(chunk: Buffer): void {
    (this.#parts ??= []).push(chunk);
    this.#bytes += chunk.length;
  }

  /** Size of the frame that begins there, or of a head when not even that is there. */
  #frameBytes(bytes: Buffer, from: number): number {
    if (bytes.length - from < HEAD_BYTES) return HEAD_BYTES;
    const { messageBytesMax, encoding } = this.#limits;
    if (bytes[from] !== 0 && encoding !== 'identity') throw compressed(encoding);
    const size = bytes.readUInt32BE(from + 1);
    if (size > messageBytesMax) {
      const text = `Received message larger than max (${size} vs ${messageBytesMax})`;
      throw new RpcError(Code.RESOURCE_EXHAUSTED, text);
    }
    return HEAD_BYTES + size;
  }
}

const compressed = (encoding: string | undefined): RpcError =>
  encoding === undefined
    ? new RpcError(Code.INTERNAL, 'received a compressed message')
    : new RpcError(Code.UNIMPLEMENTED, `received a message compressed with ${encoding}`);
