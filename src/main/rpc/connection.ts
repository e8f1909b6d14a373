/**
 * A client's connection: TLS and HTTP/2 to one place, made when first needed and again after it broke.
 *
 * It is node:http2 by itself, not a gRPC library: agents by the hundred share a machine with their
 * manager in tests and at the edge, and the library's layers cost more there than the calls
 * themselves. A failed dial fails the calls that waited for it; whoever calls decides when to try
 * again.
 */
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect as connectHttp2,
  constants,
} from 'node:http2';
import tls from 'node:tls';
import { ChannelCall } from './channel-call.ts';
import { Code, RpcError } from './errors.ts';
import { shownChain } from './shown-chain.ts';

/** The names a manager's certificate answers to. */
export const SERVER_NAMES = { MANAGER: 'swarm-manager', CA: 'swarm-ca' } as const;

export type ChannelTarget =
  /** A manager whose certificate must verify; `identity` is shown when given. */
  | {
      readonly to: 'manager';
      /** `host:port`. */
      readonly address: string;
      readonly rootPem: string;
      readonly identity?: { readonly certificatePem: string; readonly keyPem: string };
      /** Default: `swarm-manager`. */
      readonly serverName?: string;
    }
  /** A control socket: TLS, but whoever may open the file is trusted, and nobody shows a certificate. */
  | { readonly to: 'socket'; readonly path: string }
  /** Anybody at this address, unverified: only for fetching the root, whose digest is then checked. */
  | { readonly to: 'anyone'; readonly address: string };

const CONNECTION_LIMITS = {
  /** Time for TCP and TLS together. */
  dialTimeoutMs: 10_000,
  /** What the server may send ahead of our reading, per stream and per connection. */
  streamWindowBytes: 1 << 20,
  sessionWindowBytes: 4 << 20,
} as const;

type Headers = Readonly<Record<string, string | string[]>>;

const unavailable = (text: string, cause?: unknown): RpcError =>
  new RpcError(Code.UNAVAILABLE, text, { cause });

/**
 * Why a call got no connection, if that says something of the other side: `refused` when nobody
 * listens at the address, `reset` when whoever did broke the connection off.
 */
export function dialFailure(error: unknown): 'refused' | 'reset' | undefined {
  const cause = error instanceof RpcError ? error.cause : undefined;
  const code = cause instanceof Error ? Reflect.get(cause, 'code') : undefined;
  if (code === 'ECONNREFUSED') return 'refused';
  return code === 'ECONNRESET' ? 'reset' : undefined;
}

/** `host:port`, with the brackets of an IPv6 host taken off. */
function parseAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  const host = address.slice(0, colon).replace(/^\[(.*)\]$/, '$1');
  const port = Number(address.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw unavailable(`invalid address "${address}": expected HOST:PORT`);
  }
  return { host, port };
}

const TLS_VERSION_MIN = 'TLSv1.2';

export type ManagerTarget = Extract<ChannelTarget, { to: 'manager' }>;

/** What TLS needs of an identity and its root, which takes as long to make as half a handshake. */
const contexts = new WeakMap<
  NonNullable<ManagerTarget['identity']>,
  { readonly rootPem: string; readonly context: tls.SecureContext }
>();

/** Made once for each identity, as long as the root is the same. */
function secureContextOf({ identity, rootPem }: ManagerTarget): tls.SecureContext {
  const known = identity && contexts.get(identity);
  if (known?.rootPem === rootPem) return known.context;
  const context = tls.createSecureContext({
    minVersion: TLS_VERSION_MIN,
    ca: rootPem,
    ...(identity === undefined
      ? {}
      : { cert: shownChain(identity.certificatePem, rootPem), key: identity.keyPem }),
  });
  if (identity !== undefined) contexts.set(identity, { rootPem, context });
  return context;
}

function tlsOptions(target: ChannelTarget): tls.ConnectionOptions {
  const common = { ALPNProtocols: ['h2'], minVersion: TLS_VERSION_MIN } as const;
  if (target.to === 'manager') {
    return {
      ...common,
      ...parseAddress(target.address),
      // A name is always given: Node refuses an IP address here.
      servername: target.serverName ?? SERVER_NAMES.MANAGER,
      secureContext: secureContextOf(target),
    };
  }
  const where = target.to === 'socket' ? { path: target.path } : parseAddress(target.address);
  const servername = SERVER_NAMES.MANAGER;
  return { ...common, ...where, servername, rejectUnauthorized: false };
}

const placeOf = (target: ChannelTarget): string =>
  target.to === 'socket' ? target.path : target.address;

/**
 * Connects to a manager. OpenSSL compares the name, once it has verified the chain: Node would make an
 * object of the whole chain to compare it, which takes it longer than to check a signature. Where OpenSSL
 * says no, Node says why.
 */
export function connectToManager(target: ManagerTarget): tls.TLSSocket {
  const checkServerIdentity = (name: string): Error | undefined => {
    const shown = socket.getPeerX509Certificate();
    if (shown === undefined) return new Error('the server showed no certificate');
    if (shown.checkHost(name) !== undefined) return undefined;
    return tls.checkServerIdentity(name, shown.toLegacyObject());
  };
  const socket = tls.connect({ ...tlsOptions(target), checkServerIdentity });
  Object.defineProperty(socket, 'getPeerCertificate', { value: () => NOT_MADE });
  return socket;
}

const NOT_MADE = {};

/** @throws RpcError Unavailable when address, root or key cannot be used at all. */
function openSocket(target: ChannelTarget): tls.TLSSocket {
  try {
    return target.to === 'manager' ? connectToManager(target) : tls.connect(tlsOptions(target));
  } catch (error) {
    if (error instanceof RpcError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    throw unavailable(`cannot connect to ${placeOf(target)}: ${text}`);
  }
}

/** Resolves with the socket after its handshake. */
function dial(target: ChannelTarget, signal: AbortSignal): Promise<tls.TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = openSocket(target);
    const fail = (text: string, cause?: unknown): void => {
      socket.destroy();
      reject(unavailable(`cannot connect to ${placeOf(target)}: ${text}`, cause));
    };
    const onAbort = (): void => fail('the connection was closed');
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    };
    const timer = setTimeout(() => {
      fail(`no answer within ${CONNECTION_LIMITS.dialTimeoutMs / 1000} s`);
    }, CONNECTION_LIMITS.dialTimeoutMs);
    signal.addEventListener('abort', onAbort, { once: true });
    // Stays: a late error of a socket without a listener would end the process.
    socket.on('error', (error) => fail(error.message, error));
    socket.once('close', () => {
      settle();
      fail('the other side closed the connection');
    });
    socket.once('secureConnect', () => {
      settle();
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

export class Connection {
  readonly #target: ChannelTarget;
  readonly #onLost: (() => void) | undefined;
  readonly #authority: string;
  readonly #closing = new AbortController();
  readonly #calls = new Set<ChannelCall>();
  #session: ClientHttp2Session | undefined;
  #dialling: Promise<ClientHttp2Session> | undefined;

  /** `onLost` is told when the connection has ended, unless by `close`. */
  constructor(target: ChannelTarget, onLost?: () => void) {
    this.#target = target;
    this.#onLost = onLost;
    this.#authority =
      target.to === 'manager' ? (target.serverName ?? SERVER_NAMES.MANAGER) : SERVER_NAMES.MANAGER;
  }

  /**
   * Begins a call; its headers are on their way when this resolves.
   *
   * @throws RpcError Unavailable when there is no connection, Cancelled after `close`.
   */
  async call(path: string, headers: Headers): Promise<ChannelCall> {
    const session = this.#usable() ?? (await this.#connect());
    const call = new ChannelCall(this.#request(session, path, headers));
    this.#calls.add(call);
    void call.ended.then(() => this.#calls.delete(call));
    return call;
  }

  #request(session: ClientHttp2Session, path: string, headers: Headers): ClientHttp2Stream {
    const all = {
      [constants.HTTP2_HEADER_METHOD]: 'POST',
      [constants.HTTP2_HEADER_PATH]: path,
      [constants.HTTP2_HEADER_SCHEME]: 'https',
      [constants.HTTP2_HEADER_AUTHORITY]: this.#authority,
      'content-type': 'application/grpc',
      te: 'trailers',
      'user-agent': 'skein',
      ...headers,
    };
    try {
      return session.request(all);
    } catch (error) {
      this.#forget(session);
      throw unavailable(error instanceof Error ? error.message : String(error));
    }
  }

  /** Ends the connection; calls under way fail with `reason`, those to come with Cancelled. */
  close(reason: RpcError = closed()): void {
    this.#closing.abort();
    for (const call of this.#calls) call.lose(reason);
    this.#session?.destroy();
    this.#session = undefined;
  }

  #usable(): ClientHttp2Session | undefined {
    if (this.#closing.signal.aborted) throw closed();
    const session = this.#session;
    return session === undefined || session.closed || session.destroyed ? undefined : session;
  }

  #connect(): Promise<ClientHttp2Session> {
    this.#dialling ??= this.#open().finally(() => (this.#dialling = undefined));
    return this.#dialling;
  }

  async #open(): Promise<ClientHttp2Session> {
    const socket = await dial(this.#target, this.#closing.signal);
    const session = connectHttp2(`https://${this.#authority}`, {
      createConnection: () => socket,
      settings: { enablePush: false, initialWindowSize: CONNECTION_LIMITS.streamWindowBytes },
    });
    session.once('connect', () => {
      if (!session.destroyed) session.setLocalWindowSize(CONNECTION_LIMITS.sessionWindowBytes);
    });
    // Its calls hear of it themselves; the next call dials again.
    session.on('error', () => this.#forget(session));
    session.on('goaway', () => this.#forget(session));
    session.on('close', () => {
      this.#forget(session);
      if (!this.#closing.signal.aborted) this.#onLost?.();
    });
    if (this.#closing.signal.aborted) {
      session.destroy();
      throw closed();
    }
    this.#session = session;
    return session;
  }

  #forget(session: ClientHttp2Session): void {
    if (this.#session === session) this.#session = undefined;
  }
}

function closed(): RpcError {
  return new RpcError(Code.CANCELLED, 'the client was closed');
}
