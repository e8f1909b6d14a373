/**
 * One call of a client on an HTTP/2 stream: frames out, frames in, and one status at the end.
 */
import {
  type ClientHttp2Stream,
  constants,
  type Http2Session,
  type IncomingHttpHeaders,
} from 'node:http2';
import { Code, RpcError, rpcError } from './errors.ts';
import { frame, FrameReader } from './frames.ts';

/** Messages that may wait for a slow reader before the stream is paused. */
const QUEUE_MAX = 16;

/** What a stream that was reset without a status means. */
const CODE_OF_RESET: Readonly<Record<number, Code>> = {
  [constants.NGHTTP2_CANCEL]: Code.CANCELLED,
  [constants.NGHTTP2_REFUSED_STREAM]: Code.UNAVAILABLE,
  [constants.NGHTTP2_ENHANCE_YOUR_CALM]: Code.RESOURCE_EXHAUSTED,
  [constants.NGHTTP2_NO_ERROR]: Code.UNAVAILABLE,
};

function decodeText(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return encoded; // a peer that does not encode its texts
  }
}

/** The status in response headers or trailers; `undefined` when there is none. */
function statusIn(headers: IncomingHttpHeaders): RpcError | 'ok' | undefined {
  const code = headers['grpc-status'];
  if (typeof code !== 'string') return undefined;
  const text = headers['grpc-message'];
  return code === '0'
    ? 'ok'
    : rpcError(Number(code), decodeText(typeof text === 'string' ? text : ''));
}

export class ChannelCall {
  readonly #stream: ClientHttp2Stream;
  readonly #session: Http2Session | undefined;
  readonly #reader = new FrameReader();
  readonly #queue: Buffer[] = [];
  #status: RpcError | 'ok' | undefined;
  #problem: string | undefined;
  #connectionLost = false;
  /** Set once, when everything has arrived or failed. */
  #outcome: RpcError | 'ok' | undefined;
  #wake: (() => void) | undefined;
  readonly #ended = Promise.withResolvers<void>();

  constructor(stream: ClientHttp2Stream) {
    this.#stream = stream;
    this.#session = stream.session;
    stream.on('response', (headers) => this.#onHeaders(headers));
    stream.on('trailers', (headers) => (this.#status ??= statusIn(headers)));
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('error', (error) => (this.#problem ??= error.message));
    stream.on('end', () => this.#status && this.#finish(this.#status));
    stream.on('close', () => this.#finish(this.#status ?? this.#lost()));
  }

  /** Resolves when the call is over; never rejects. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  /** How it ended; `undefined` while it runs. Messages that came before may still be taken. */
  get outcome(): RpcError | 'ok' | undefined {
    return this.#outcome;
  }

  /** Whether it ended with its connection: the server may have answered, or never have seen it. */
  get connectionLost(): boolean {
    return this.#connectionLost;
  }

  /** Sends one message; false when the peer reads slower than this writes. */
  send(message: Uint8Array): boolean {
    return this.#stream.write(frame(message));
  }

  /** Sends the last message, or none, and closes this side. */
  finish(message?: Uint8Array): void {
    if (message === undefined) this.#stream.end();
    else this.#stream.end(frame(message));
  }

  /** Resolves when `send` has room again, or the call is over. */
  async room(): Promise<void> {
    const drained = Promise.withResolvers<void>();
    this.#stream.once('drain', drained.resolve);
    await Promise.race([drained.promise, this.ended]);
    this.#stream.removeListener('drain', drained.resolve);
  }

  /** The next message that has arrived; `undefined` when there is none yet, or no more. */
  take(): Buffer | undefined {
    const message = this.#queue.shift();
    if (this.#queue.length < QUEUE_MAX && this.#stream.isPaused()) this.#stream.resume();
    return message;
  }

  /** Resolves at the next message or at the end. */
  changed(): Promise<void> {
    if (this.#queue.length > 0 || this.#outcome !== undefined) return Promise.resolve();
    return new Promise((resolve) => (this.#wake = resolve));
  }

  /** Ends the call with this outcome, unless it is over, and tells the server. */
  cancel(reason: RpcError): void {
    if (this.#outcome !== undefined) return;
    this.#queue.length = 0;
    this.#finish(reason);
  }

  /** Ends the call because its connection is given up. */
  lose(reason: RpcError): void {
    if (this.#outcome === undefined) this.#connectionLost = true;
    this.cancel(reason);
  }

  #onHeaders(headers: IncomingHttpHeaders): void {
    this.#status ??= statusIn(headers);
    const http = headers[':status'];
    if (this.#status !== undefined || String(http) === '200') return;
    const text = `unexpected HTTP status ${String(http)} from the server`;
    this.#status = new RpcError(Code.UNKNOWN, text);
  }

  #onData(chunk: Buffer): void {
    if (this.#outcome !== undefined) return;
    try {
      for (const message of this.#reader.push(chunk)) this.#queue.push(message);
    } catch (error) {
      this.cancel(error instanceof RpcError ? error : new RpcError(Code.INTERNAL, String(error)));
      return;
    }
    if (this.#queue.length >= QUEUE_MAX) this.#stream.pause();
    this.#wake?.();
  }

  /** The stream closed without a status: with its connection, or by itself. */
  #lost(): RpcError {
    if (this.#session?.destroyed !== false) {
      this.#connectionLost = true;
      return new RpcError(Code.UNAVAILABLE, this.#problem ?? 'the connection was closed');
    }
    const code = CODE_OF_RESET[this.#stream.rstCode ?? 0] ?? Code.INTERNAL;
    return new RpcError(code, this.#problem ?? 'the server ended the call');
  }

  #finish(outcome: RpcError | 'ok'): void {
    if (this.#outcome !== undefined) return;
    const cut = outcome === 'ok' && this.#reader.partial;
    this.#outcome = cut ? new RpcError(Code.INTERNAL, 'a message was cut off') : outcome;
    this.#release();
    this.#wake?.();
    this.#ended.resolve();
  }

  /** Gives the stream up: nothing to do when both sides have ended it. */
  #release(): void {
    if (this.#stream.closed) return;
    if (this.#status === undefined) this.#stream.close(constants.NGHTTP2_CANCEL);
    else if (!this.#stream.writableEnded) this.#stream.close(constants.NGHTTP2_NO_ERROR);
  }
}
