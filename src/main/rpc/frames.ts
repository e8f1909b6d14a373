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

/** Cuts a stream of bytes into messages, however it was chopped on the way. */
export class FrameReader {
  /** Bytes of a message that is not complete yet, with its head. */
  #parts: Buffer[] = [];
  #bytes = 0;
  /** How many bytes make the next step possible: a head, or a head with its message. */
  #wanted = HEAD_BYTES;

  /**
   * The messages that `chunk` completes. They are views, valid while the caller works on them.
   *
   * @throws RpcError Internal for a compressed message, which nobody asked for.
   */
  push(chunk: Buffer): readonly Buffer[] {
    if (this.#bytes + chunk.length < this.#wanted) {
      this.#keep(chunk);
      return [];
    }
    let rest = this.#bytes === 0 ? chunk : Buffer.concat([...this.#parts, chunk]);
    this.#parts = [];
    this.#bytes = 0;
    const messages: Buffer[] = [];
    for (;;) {
      this.#wanted = frameBytes(rest);
      if (rest.length < this.#wanted) break;
      messages.push(rest.subarray(HEAD_BYTES, this.#wanted));
      rest = rest.subarray(this.#wanted);
    }
    if (rest.length > 0) this.#keep(rest);
    return messages;
  }

  /** Whether part of a message has arrived. */
  get partial(): boolean {
    return this.#bytes > 0;
  }

  #keep(chunk: Buffer): void {
    this.#parts.push(chunk);
    this.#bytes += chunk.length;
  }
}

/** Size of the frame at the start of `bytes`, or of a head when not even that is there. */
function frameBytes(bytes: Buffer): number {
  if (bytes.length < HEAD_BYTES) return HEAD_BYTES;
  if (bytes[0] !== 0) throw new RpcError(Code.INTERNAL, 'received a compressed message');
  return HEAD_BYTES + bytes.readUInt32BE(1);
}
