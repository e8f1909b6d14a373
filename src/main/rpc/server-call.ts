/**
 * One call at a server, on an HTTP/2 stream: frames in, frames out, and one status at the end.
 *
 * It stands on node:http2 by itself, as a client's calls do (`channel-call.ts`): thousands of calls come
 * in a second while tasks come up, each node has three open all the time, and a gRPC library's objects
 * for each cost as much as all else that is done for it.
 */
import type { IncomingHttpHeaders, OutgoingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { Header, Peer } from './authorise.ts';
import { type Bound, failure, type RawCall } from './calls.ts';
import { Code, RpcError } from './errors.ts';
import { frame, FrameReader } from './frames.ts';
import { CallEnded, type LiveCall } from './live-calls.ts';

const CONTENT_TYPE = 'application/grpc';

/** In Node's form that is written as it stands. */
const RESPONSE: readonly string[] = [':status', '200', 'content-type', CONTENT_TYPE];
const RESPONDING = { waitForTrailers: true, sendDate: false } as const;
const ENDING = { endStream: true, sendDate: false } as const;
const SUCCESS: OutgoingHttpHeaders = { 'grpc-status': '0' };

/** What is sent for a call that failed so. */
const trailersOf = (code: Code, text: string): OutgoingHttpHeaders => ({
  'grpc-status': String(code),
  'grpc-message': encodeURI(text),
});

/** Ends a call before any handler is asked for it, and drops what its client still sends. */
export function refuse(stream: ServerHttp2Stream, code: Code, text: string): void {
  stream.resume();
  respondWith(stream, trailersOf(code, text));
}

/** Ends a request that is no gRPC call. */
export function refuseRequest(stream: ServerHttp2Stream): void {
  stream.resume();
  stream.respond({ ':status': 415 }, ENDING);
}

export const isCall = (headers: IncomingHttpHeaders): boolean =>
  headers['content-type']?.startsWith(CONTENT_TYPE) === true;

const isGone = (stream: ServerHttp2Stream): boolean => stream.closed || stream.destroyed;

/** Sends a status alone, in place of a response. */
function respondWith(stream: ServerHttp2Stream, status: OutgoingHttpHeaders): void {
  stream.respond({ ':status': 200, 'content-type': CONTENT_TYPE, ...status }, ENDING);
}

const TIMEOUT = /^(\d{1,8})([HMSmun])$/;
const TIMEOUT_UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};
/** What a timer can wait at most. */
const TIMER_MS_MAX = 2 ** 31 - 1;

const NO_VALUES: readonly string[] = [];

/** One header's values. */
function valuesOf(headers: IncomingHttpHeaders, name: string): readonly string[] {
  const value = headers[name];
  if (value === undefined) return NO_VALUES;
  return typeof value === 'string' ? [value] : value;
}

/** The connection that a call came over. */
export type CallConnection = {
  readonly peer: Peer;
  /** A call has begun, and will end. */
  begun(): void;
  ended(): void;
};

export abstract class ServerCall implements RawCall {
  protected readonly bound: Bound;
  protected readonly stream: ServerHttp2Stream;
  readonly #connection: CallConnection;
  readonly #headers: IncomingHttpHeaders;
  readonly #reader: FrameReader;
  #live: LiveCall | undefined;
  #deadline: NodeJS.Timeout | undefined;
  /** It has its status, or its client is gone: nothing more is read, and no message sent. */
  #isOver = false;
  /** Its client has sent all. */
  #isRequestComplete = false;
  /** The status is on its way behind all messages, or nobody is left to get it. */
  #isFinished = false;

  constructor(
    bound: Bound,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: CallConnection,
  ) {
    this.bound = bound;
    this.stream = stream;
    this.#connection = connection;
    this.#headers = headers;
    const encoding = headers['grpc-encoding'] ?? 'identity';
    const { receiveBytesMax: messageBytesMax } = bound.gate;
    this.#reader = new FrameReader({ messageBytesMax, encoding: String(encoding) });
  }

  /** Listens to the client from now on. */
  start(): void {
    const { stream } = this;
    this.#connection.begun();
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
    stream.on('end', () => this.#onEnd());
    stream.on('close', () => this.#onClose());
    const timeout = this.#headers['grpc-timeout'];
    if (timeout !== undefined) this.#setDeadline(String(timeout));
  }

  /** A message has come. */
  protected abstract onMessage(message: Buffer): void;

  /** The client has sent all. */
  protected abstract onRequestEnd(): void;

  /** Nothing more is read, however the call ended. */
  protected onOver(): void {}

  get peer(): Peer {
    return this.#connection.peer;
  }

  get header(): Header {
    return (name) => valuesOf(this.#headers, name);
  }

  /** From now on the listener waits for this call when it stops, and can end it. */
  protected begin(): LiveCall {
    return (this.#live = this.bound.gate.calls.begin());
  }

  protected get isOver(): boolean {
    return this.#isOver;
  }

  /** Sends one message of several; `sent` is called once it has left. */
  protected send(message: Uint8Array, sent: () => void): void {
    const { stream } = this;
    if (this.#isOver || isGone(stream)) return;
    if (!stream.headersSent) stream.respond(RESPONSE, RESPONDING);
    stream.write(frame(message), (error) => {
      if (error === null || error === undefined) sent();
    });
  }

  /** Sends the only message, and that the call has succeeded. */
  protected reply(message: Uint8Array): void {
    const { stream } = this;
    if (this.#isOver || isGone(stream)) return;
    this.#over();
    stream.respond(RESPONSE, RESPONDING);
    this.#sendBehindMessages(SUCCESS);
    stream.end(frame(message));
  }

  protected succeed(): void {
    this.#end(SUCCESS);
  }

  protected fail(error: unknown): void {
    if (this.#isOver && error instanceof CallEnded) return; // its own end, told to a handler that read
    const { code, text } = failure(error, this.bound);
    this.#end(trailersOf(code, text));
  }

  #end(status: OutgoingHttpHeaders): void {
    const { stream } = this;
    if (this.#isOver || isGone(stream)) return;
    this.#over();
    if (stream.headersSent) {
      this.#sendBehindMessages(status);
      stream.end();
    } else {
      respondWith(stream, status);
      this.#finish();
    }
  }

  #sendBehindMessages(status: OutgoingHttpHeaders): void {
    this.stream.on('wantTrailers', () => {
      this.stream.sendTrailers(status);
      // A stream that both sides have ended closes. Not in this turn: Node is in the midst of writing.
      if (!this.#isRequestComplete) setImmediate(() => this.#finish());
    });
  }

  #over(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#deadline);
    this.onOver();
    // What the client still sends is dropped.
    if (this.stream.isPaused()) this.stream.resume();
  }

  #finish(): void {
    if (this.#isFinished) return;
    this.#isFinished = true;
    if (this.#live !== undefined) this.bound.gate.calls.end(this.#live);
    this.#connection.ended();
  }

  #onClose(): void {
    this.#over();
    this.#finish();
  }

  #onData(chunk: Buffer): void {
    if (this.#isOver) return;
    try {
      for (const message of this.#reader.push(chunk)) this.onMessage(message);
    } catch (error) {
      this.fail(error);
    }
  }

  #onEnd(): void {
    // A stream that breaks ends as well.
    if (isGone(this.stream) || this.stream.aborted) return;
    this.#isRequestComplete = true;
    if (!this.#isOver) this.onRequestEnd();
  }

  #setDeadline(timeout: string): void {
    const [, digits, unit = ''] = TIMEOUT.exec(timeout) ?? [];
    const unitMs = TIMEOUT_UNIT_MS[unit];
    if (digits === undefined || unitMs === undefined) {
      return this.fail(new RpcError(Code.INTERNAL, `Invalid grpc-timeout value "${timeout}"`));
    }
    const late = (): void => this.fail(new RpcError(Code.DEADLINE_EXCEEDED, 'Deadline exceeded'));
    this.#deadline = setTimeout(late, Math.min(Number(digits) * unitMs, TIMER_MS_MAX));
  }
}
