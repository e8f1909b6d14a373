/**
 * A connection at a server: Node's HTTP/2 session on it, each of its streams a call. A client that gives no
 * sign of life is cut off, and one that has not called for long is told to go.
 */
import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Peer } from './authorise.ts';
import type { CallConnection } from './server-call.ts';

export type ConnectionLimits = {
  /** A connection without any call is closed after this. */
  readonly idleConnectionMs: number;
  /** The server asks a silent client for a sign of life this often, and waits so long for it. */
  readonly keepalivePeriodMs: number;
  readonly keepaliveTimeoutMs: number;
};

export type ServerConnectionOptions = {
  readonly socket: TLSSocket;
  readonly limits: ConnectionLimits;
  /** Who is at the other end. */
  readonly peer: Peer;
  readonly onStream: (
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    connection: CallConnection,
  ) => void;
  readonly onError: (error: Error) => void;
  readonly onClose: () => void;
};

/** Node counts what it holds for a session, and would refuse calls while a large answer is on its way. */
const SESSION = { maxSessionMemory: Number.MAX_SAFE_INTEGER } as const;

/** A stream that fails is closed as well, which tells its call. */
const ignore = (): void => undefined;

export class ServerConnection implements CallConnection {
  readonly peer: Peer;
  readonly #session: ServerHttp2Session;
  readonly #limits: ConnectionLimits;
  readonly #keepalive: NodeJS.Timeout;
  #silence: NodeJS.Timeout | undefined;
  /** Calls that are open. */
  #open = 0;
  /** How long, in whole periods, there was none. */
  #idleMs = 0;

  constructor(options: ServerConnectionOptions) {
    const { socket, limits, peer, onStream, onError, onClose } = options;
    this.peer = peer;
    this.#limits = limits;
    this.#session = performServerHandshake(socket, SESSION);
    this.#keepalive = setInterval(() => this.#onPeriod(), limits.keepalivePeriodMs).unref();
    this.#session.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
      stream.on('error', ignore);
      onStream(stream, headers, this);
    });
    this.#session.on('error', onError);
    this.#session.on('close', () => {
      clearInterval(this.#keepalive);
      clearTimeout(this.#silence);
      onClose();
    });
  }

  begun(): void {
    this.#open += 1;
    this.#idleMs = 0;
  }

  ended(): void {
    this.#open -= 1;
  }

  /** Takes no more calls; the connection ends with the last one that is open. */
  goodbye(): void {
    this.#session.close();
  }

  destroy(): void {
    this.#session.destroy();
  }

  #onPeriod(): void {
    if (this.#session.closed || this.#session.destroyed) return;
    const { idleConnectionMs, keepalivePeriodMs, keepaliveTimeoutMs } = this.#limits;
    if (this.#open === 0) {
      this.#idleMs += keepalivePeriodMs;
      if (this.#idleMs > idleConnectionMs) return this.goodbye();
    }
    if (this.#silence !== undefined) return;
    this.#silence = setTimeout(() => this.destroy(), keepaliveTimeoutMs).unref();
    this.#session.ping(() => {
      clearTimeout(this.#silence);
      this.#silence = undefined;
    });
  }
}
