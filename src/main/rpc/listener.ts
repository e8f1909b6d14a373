/**
 * Where calls come in: the TCP listener for nodes and clients, and the control socket of this node.
 *
 * TLS ends here, before gRPC: a client certificate is optional but must verify when there is one, and
 * a client that offers no ALPN is served all the same, since a Docker Engine forgets ALPN after its
 * first certificate renewal. Which services stand on a listener is the caller's list.
 */
import { constants } from 'node:crypto';
import { chmod, lstat, mkdir, rm } from 'node:fs/promises';
import net from 'node:net';
import { dirname } from 'node:path';
import tls from 'node:tls';
import { type Server, ServerCredentials } from '@grpc/grpc-js';
import type { Log } from '../log.ts';
import {
  authorise,
  type Caller,
  forwardedFrom,
  type Identity,
  identityOf,
  LISTENS_AT,
  type Peer,
  type Policy,
  recognise,
} from './authorise.ts';
import { Arrivals } from './arrivals.ts';
import { CallLine } from './call-line.ts';
import { type Gate, headerOf, type RawCall } from './calls.ts';
import { LiveCalls } from './live-calls.ts';
import type { Implementation, Method, Relay } from './service.ts';
import { grpcServer } from './grpc-server.ts';
import { shownChain } from './shown-chain.ts';
import { subjectOf } from './subject.ts';

/** The certificate that a node shows, and the roots it believes; all PEM. */
export type Credentials = {
  /** Leaf first, then intermediates. */
  readonly certificatePem: string;
  readonly keyPem: string;
  readonly rootPem: string;
};

type ListenerLimits = { readonly [K in keyof typeof LISTENER_LIMITS]: number };

const LISTENER_LIMITS = {
  /** Largest request message. */
  receiveBytesMax: 4 << 20,
  /** A client that has not finished its TLS handshake by then is dropped. */
  handshakeTimeoutMs: 10_000,
  /** A connection without any call is closed after this. */
  idleConnectionMs: 300_000,
  /** The server asks a silent client for a sign of life this often, and waits so long for it. */
  keepalivePeriodMs: 60_000,
  keepaliveTimeoutMs: 20_000,
  /** What `stop` gives to calls that are being answered. */
  stopGraceMs: 8000,
  /** What `stop` then gives to answers on their way. */
  flushMs: 250,
} as const;

/** Forward-secret authenticated ciphers only, as SwarmKit's servers offer them. */
const CIPHERS = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_AES_256_GCM_SHA384',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-ECDSA-AES256-GCM-SHA384',
  'ECDHE-RSA-AES256-GCM-SHA384',
  'ECDHE-ECDSA-AES128-GCM-SHA256',
  'ECDHE-RSA-AES128-GCM-SHA256',
  'ECDHE-ECDSA-CHACHA20-POLY1305',
  'ECDHE-RSA-CHACHA20-POLY1305',
].join(':');

type CommonOptions = {
  readonly credentials: Credentials;
  readonly services: readonly Implementation[];
  readonly log: Log;
  /** Only tests have other limits. */
  readonly limits?: Partial<ListenerLimits>;
  /** Says whether to answer a call here (`undefined`) or to pass it on. Default: all here. */
  readonly route?: (method: Method) => Relay | undefined;
};

export type TcpOptions = CommonOptions & {
  readonly host: string;
  /** 0 takes any free port; `address` tells which. */
  readonly port: number;
  readonly policy: Policy;
};

export type SocketOptions = CommonOptions & {
  readonly path: string;
  /** Who this node is: calls over its control socket count as its own. */
  readonly self: () => Identity & { readonly remoteAddress: string };
};

export type Listener = AsyncDisposable & {
  /** `host:port`, or the socket's path. */
  readonly address: string;
  /** The TCP port; 0 for a socket. */
  readonly port: number;
  /** Whether more connections come than can be answered: some wait for their handshake, or were turned away lately. */
  readonly isBehind: boolean;
  /** New connections see this certificate and are held against these roots. */
  readonly useCredentials: (credentials: Credentials) => void;
  /** Takes no more calls, lets those under way end for `graceMs`, then cuts every connection. */
  readonly stop: (graceMs?: number) => Promise<void>;
};

const secureContext = ({
  certificatePem,
  keyPem,
  rootPem,
}: Credentials): tls.SecureContextOptions => ({
  cert: shownChain(certificatePem, rootPem),
  key: keyPem,
  ca: rootPem,
  minVersion: 'TLSv1.2',
  ciphers: CIPHERS,
  honorCipherOrder: true,
  // A resumed session would skip the check of the certificate against today's roots.
  secureOptions: constants.SSL_OP_NO_TICKET,
});

/** `ip:port` as Go writes it. */
function goAddress(peer: string): string {
  const colon = peer.lastIndexOf(':');
  const host = peer.slice(0, colon).replace(/^::ffff:(?=\d+\.)/, '');
  return host.includes(':') ? `[${host}]${peer.slice(colon)}` : `${host}${peer.slice(colon)}`;
}

/** Peers by the certificate object, of which every connection has exactly one. */
const peers = new WeakMap<tls.PeerCertificate, Peer>();

function peerOf(call: RawCall): Peer {
  const certificate = call.getAuthContext().sslPeerCertificate;
  const known = certificate && peers.get(certificate);
  if (known !== undefined) return known;
  const address = goAddress(call.getPeer());
  const peer = { identity: certificate && identityOf(certificate), address };
  if (certificate !== undefined) peers.set(certificate, peer);
  return peer;
}

/** Certificate checks for the TCP port: by the method's roles, or whoever can be recognised. */
function admitByCertificate(policy: Policy): Gate['admit'] {
  return (call, method) => {
    const peer = peerOf(call);
    const header = headerOf(call);
    const forwarded = forwardedFrom(header);
    const caller =
      method.roles.length === 0
        ? recognise(peer, forwarded, policy)
        : authorise(peer, forwarded, method.roles, policy);
    const [listensAt] = header(LISTENS_AT);
    return listensAt === undefined ? caller : { ...caller, listensAt };
  };
}

/** Every call over the control socket is this node's own. */
function admitAsSelf(self: SocketOptions['self']): Gate['admit'] {
  return (): Caller => ({ ...self(), local: true, forwardedBy: undefined });
}

/** Both ends of a TCP connection; `undefined` for a Unix socket, or when it is gone already. */
function endsOf(socket: net.Socket): string | undefined {
  const { remoteAddress, remotePort, localAddress, localPort } = socket;
  if (remotePort === undefined) return undefined;
  return `${remoteAddress} ${remotePort} ${localAddress} ${localPort}`;
}

/** Connections that the kernel may hold for us; it has a limit of its own as well. */
const BACKLOG = 4096;

const NO_BYTES = Buffer.alloc(0);

type Injector = ReturnType<Server['createConnectionInjector']>;

/** One accepted port or socket with its gRPC server. */
class TlsListener {
  readonly #grpc: Server;
  readonly #net: net.Server;
  readonly #tls: tls.Server;
  readonly #arrivals: Arrivals;
  /** TCP connections still shaking hands, by both their ends: Node does not tell whose TLS it is. */
  readonly #handshaking = new Map<string, net.Socket>();
  /** The TLS sockets that gRPC has got. */
  readonly #served = new Set<net.Socket>();
  readonly #log: Log;
  readonly #limits: ListenerLimits;
  readonly #calls = new LiveCalls();
  #stopped: Promise<void> | undefined;
  readonly #onSocketError = (error: Error): void =>
    this.#log.debug({ error }, 'a connection failed');

  constructor(options: CommonOptions, admit: Gate['admit']) {
    const limits = { ...LISTENER_LIMITS, ...options.limits };
    this.#log = options.log;
    this.#limits = limits;
    const route = options.route ?? (() => undefined);
    const { log } = options;
    const line = new CallLine();
    const gate: Gate = { admit, peer: peerOf, route, calls: this.#calls, line, log };
    this.#grpc = grpcServer(options.services, gate, {
      'grpc.max_receive_message_length': limits.receiveBytesMax,
      'grpc.max_send_message_length': -1,
      'grpc.keepalive_time_ms': limits.keepalivePeriodMs,
      'grpc.keepalive_timeout_ms': limits.keepaliveTimeoutMs,
      'grpc.max_connection_idle_ms': limits.idleConnectionMs,
      'grpc.enable_channelz': 0,
    });
    const injector = this.#grpc.createConnectionInjector(ServerCredentials.createInsecure());
    this.#tls = tls.createServer({
      ...secureContext(options.credentials),
      requestCert: true,
      rejectUnauthorized: false,
      // A list would be copied for every connection, into a page that it keeps from being freed.
      ALPNCallback: ({ protocols }) => protocols.find((name) => name === 'h2'),
      handshakeTimeout: limits.handshakeTimeoutMs,
    });
    this.#arrivals = new Arrivals((socket) => this.#shakeHands(socket));
    // Paused: what a client sends waits in the kernel until its turn has come.
    this.#net = net.createServer({ pauseOnConnect: true }, (socket) => this.#onConnection(socket));
    this.#tls.on('secureConnection', (socket) => this.#accept(socket, injector));
    this.#tls.on('tlsClientError', (error, socket) => {
      this.#log.debug({ error, from: socket.remoteAddress }, 'a TLS handshake failed');
      socket.destroy();
    });
  }

  listen(where: net.ListenOptions): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#net.once('error', reject);
      this.#net.listen({ backlog: BACKLOG, ...where }, () => {
        this.#net.removeListener('error', reject);
        this.#net.on('error', (error) => this.#log.error({ error }, 'a listener failed'));
        resolve();
      });
    });
  }

  get port(): number {
    const address = this.#net.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get isBehind(): boolean {
    return this.#arrivals.isBehind;
  }

  useCredentials(credentials: Credentials): void {
    this.#tls.setSecureContext(secureContext(credentials));
  }

  stop(graceMs: number = this.#limits.stopGraceMs): Promise<void> {
    this.#stopped ??= this.#stop(graceMs);
    return this.#stopped;
  }

  #onConnection(socket: net.Socket): void {
    socket.on('error', this.#onSocketError);
    this.#arrivals.add(socket);
  }

  #shakeHands(socket: net.Socket): void {
    const ends = endsOf(socket);
    if (ends === undefined) {
      // The control socket, where nobody comes by the thousand; or gone already, which TLS finds out.
      this.#arrivals.ended(socket);
    } else {
      this.#handshaking.set(ends, socket);
      socket.once('close', () => {
        if (this.#handshaking.get(ends) === socket) this.#handshaking.delete(ends);
        this.#arrivals.ended(socket);
      });
    }
    this.#tls.emit('connection', socket);
  }

  #accept(socket: tls.TLSSocket, injector: Injector): void {
    this.#shookHands(endsOf(socket));
    socket.on('error', this.#onSocketError);
    const certificate = socket.getPeerX509Certificate();
    if (certificate !== undefined && !socket.authorized) {
      const { authorizationError, remoteAddress } = socket;
      this.#log.debug({ authorizationError, remoteAddress }, 'refused a client certificate');
      socket.destroy();
      return;
    }
    // gRPC asks for it on every call, and Node would make it anew each time. Only its names are asked for,
    // and the rest would stay as long as the connection.
    const names =
      certificate === undefined ? {} : { subject: subjectOf(certificate), raw: NO_BYTES };
    Object.defineProperty(socket, 'getPeerCertificate', { value: () => names });
    if (socket.alpnProtocol === false) Object.assign(socket, { alpnProtocol: 'h2' });
    this.#served.add(socket);
    socket.once('close', () => this.#served.delete(socket));
    injector.injectConnection(socket);
  }

  /** The handshake between these ends is over. */
  #shookHands(ends: string | undefined): void {
    const socket = ends === undefined ? undefined : this.#handshaking.get(ends);
    if (ends === undefined || socket === undefined) return;
    this.#handshaking.delete(ends);
    this.#arrivals.ended(socket);
  }

  async #stop(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#net.close(() => resolve()));
    this.#grpc.tryShutdown(() => undefined); // says goodbye on every connection
    this.#arrivals.clear();
    for (const socket of this.#handshaking.values()) socket.destroy();
    await within(this.#calls.idle(), graceMs);
    this.#calls.endAll();
    // The last answers are on their way; a client that does not hang up by itself is cut off.
    await within(closed, Math.min(graceMs, LISTENER_LIMITS.flushMs));
    for (const socket of this.#served) socket.destroy();
    for (const socket of this.#handshaking.values()) socket.destroy();
    this.#grpc.forceShutdown();
    await closed;
  }
}

/** Resolves with `event` or after `timeoutMs`. */
async function within(event: Promise<void>, timeoutMs: number): Promise<void> {
  const passed = Promise.withResolvers<void>();
  const timer = setTimeout(passed.resolve, timeoutMs);
  await Promise.race([event, passed.promise]);
  clearTimeout(timer);
}

function facade(listener: TlsListener, address: string, stop: Listener['stop']): Listener {
  return {
    address,
    port: listener.port,
    get isBehind() {
      return listener.isBehind;
    },
    useCredentials: (credentials) => listener.useCredentials(credentials),
    stop,
    [Symbol.asyncDispose]: () => stop(),
  };
}

/**
 * Listens on a TCP port for nodes and clients.
 *
 * @throws when the address cannot be bound, or the certificate and key do not fit.
 */
export async function listenTcp(options: TcpOptions): Promise<Listener> {
  const listener = new TlsListener(options, admitByCertificate(options.policy));
  await listener.listen({ host: options.host, port: options.port });
  const host = options.host.includes(':') ? `[${options.host}]` : options.host;
  return facade(listener, `${host}:${listener.port}`, (graceMs) => listener.stop(graceMs));
}

/** Linux keeps a socket's path in 108 bytes, with a zero at the end. */
const SOCKET_PATH_BYTES_MAX = 107;

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createConnection({ path });
    probe.once('connect', () => resolve(true));
    probe.once('error', () => resolve(false));
    probe.once('close', () => resolve(false));
    probe.once('connect', () => probe.destroy());
  });
}

/** Makes way for a new socket file, but never removes anything else. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isSocket()) throw new Error(`${path} exists and is not a socket`);
  if (await answers(path)) throw new Error(`the control socket ${path} is in use`);
  await rm(path);
}

/**
 * Listens on this node's control socket. A file left behind by a dead process is replaced.
 *
 * @throws when another process answers on the socket, or the path is too long.
 */
export async function listenSocket(options: SocketOptions): Promise<Listener> {
  const { path } = options;
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new Error(
      `the control socket path is longer than ${SOCKET_PATH_BYTES_MAX} bytes: ${path}`,
    );
  }
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await removeStale(path);
  const listener = new TlsListener(options, admitAsSelf(options.self));
  await listener.listen({ path });
  await chmod(path, 0o600);
  return facade(listener, path, (graceMs) => listener.stop(graceMs));
}
