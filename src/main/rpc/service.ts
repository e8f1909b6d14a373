/**
 * Implementing a service of the generated table, without a word about gRPC.
 *
 * A handler takes decoded messages and the caller, and returns or streams messages. Everything a call
 * goes through before and after that stands here once: deciding where it is handled, who may call,
 * decoding, back-pressure, cancellation and turning errors into statuses.
 */
import type { PeerCertificate } from 'node:tls';
import { status as GrpcStatus } from '@grpc/grpc-js';
import type * as grpc from '@grpc/grpc-js';
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { WireError, type Codec } from '../../shared/wire/runtime.ts';
import type { Log } from '../log.ts';
import type { Caller, Header, Peer } from './authorise.ts';
import { Code, RpcError, statusOf } from './errors.ts';

export type Services = typeof SERVICES;
export type ServiceName = keyof Services;

/** One row of the generated table. */
export type Method = {
  readonly path: string;
  readonly request: Codec<unknown>;
  readonly response: Codec<unknown>;
  readonly requestStream: boolean;
  readonly responseStream: boolean;
  readonly roles: readonly string[];
};

export type RequestOf<M> = M extends { readonly request: Codec<infer T> } ? T : never;
export type ResponseOf<M> = M extends { readonly response: Codec<infer T> } ? T : never;

/** A message that was encoded before: it is written as it stands. */
export class Encoded {
  readonly bytes: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }
}

/** Where a server stream goes. */
export type Sink<T> = {
  /** Aborted when the caller is gone, its deadline has passed, or the listener was stopped. */
  readonly signal: AbortSignal;
  /**
   * Sends one message. Resolves when there is room for the next one; a producer waits for it.
   *
   * @throws CallEnded once the call is over, which ends a handler that does not catch it.
   */
  write(message: T | Encoded): Promise<void>;
};

type MaybePromise<T> = T | Promise<T>;

/** `undefined` from a client stream ends the call well but without a message. */
type Handler<M> = M extends { readonly requestStream: true }
  ? (
      requests: AsyncIterable<RequestOf<M>>,
      caller: Caller,
      signal: AbortSignal,
    ) => MaybePromise<ResponseOf<M> | Encoded | undefined>
  : M extends { readonly responseStream: true }
    ? (request: RequestOf<M>, caller: Caller, sink: Sink<ResponseOf<M>>) => MaybePromise<void>
    : (
        request: RequestOf<M>,
        caller: Caller,
        signal: AbortSignal,
      ) => MaybePromise<ResponseOf<M> | Encoded>;

export type Handlers<S extends ServiceName> = {
  readonly [K in keyof Services[S]]: Handler<Services[S][K]>;
};

type AnyHandler = (request: unknown, caller: Caller, third: unknown) => unknown;

/** The types of a handler are checked by `implement`; from there on a call carries plain bytes. */
const isHandler = (value: unknown): value is AnyHandler => typeof value === 'function';

/** A service with its handlers, ready for any listener. */
export type Implementation = {
  readonly service: ServiceName;
  readonly methods: readonly { readonly method: Method; readonly handler: AnyHandler }[];
};

/** Joins handlers to their rows of the table. A method without a handler answers Unimplemented. */
export function implement<S extends ServiceName>(
  service: S,
  handlers: Partial<Handlers<S>>,
): Implementation {
  const rows: Readonly<Record<string, Method>> = SERVICES[service];
  const methods = Object.entries(rows).flatMap(([name, method]) => {
    const handler: unknown = Reflect.get(handlers, name);
    return isHandler(handler) ? [{ method, handler: handler.bind(handlers) }] : [];
  });
  return { service, methods };
}

/**
 * The same service, whose handlers begin only when `ready` has resolved: what comes earlier waits, for
 * as long as its caller does.
 */
export function held(implementation: Implementation, ready: Promise<void>): Implementation {
  const methods = implementation.methods.map(({ method, handler }) => ({
    method,
    handler: async (request: unknown, caller: Caller, third: unknown): Promise<unknown> => {
      await ready;
      return handler(request, caller, third);
    },
  }));
  return { service: implementation.service, methods };
}

/** What a relay is told of a call, besides its messages. */
export type RelayContext = {
  readonly header: Header;
  /** Who is connected to this listener. */
  readonly peer: Peer;
  /** Aborted when the caller is gone, its deadline has passed, or the listener was stopped. */
  readonly signal: AbortSignal;
  /**
   * Sends one message of a server stream. Resolves when there is room for the next one.
   *
   * @throws CallEnded once the call is over.
   */
  readonly write: (message: Uint8Array) => Promise<void>;
  /** Answers the call here after all, authorised here; not once a client stream has been read. */
  readonly here: () => Promise<Uint8Array | undefined>;
};

/**
 * Answers a call elsewhere: the relay to the leader. It gets the raw messages, and the relayed call
 * is authorised there.
 */
export type Relay = {
  /** The answer's bytes, or `undefined` for none; server streams write to the context instead. */
  readonly relay: (
    method: Method,
    requests: AsyncIterable<Uint8Array>,
    context: RelayContext,
  ) => Promise<Uint8Array | undefined>;
};

/** What gRPC knows of a call of any shape. */
export type RawCall = {
  readonly metadata: grpc.Metadata;
  getPeer(): string;
  getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate };
  on(event: 'cancelled', listener: () => void): unknown;
};

/** What a listener decides for every call. */
export type Gate = {
  /** Who calls, or an RpcError when they may not. */
  readonly admit: (call: RawCall, method: Method) => Caller;
  /** Whose connection the call came over. */
  readonly peer: (call: RawCall) => Peer;
  /** `undefined`: handle the call here. */
  readonly route: (method: Method) => Relay | undefined;
  /** The calls being answered. */
  readonly calls: LiveCalls;
  readonly log: Log;
};

/** The call is over: the reason of its signal, and what a write after that throws. */
export class CallEnded extends Error {
  override readonly name = 'CallEnded';

  constructor() {
    super('the call has ended');
  }
}

type ServiceError = { code: number; details: string; name: string; message: string };

function failure(error: unknown, method: Method, log: Log): ServiceError {
  const { code, text, expected } = statusOf(error);
  if (!expected) {
    log.warn({ method: method.path, error }, 'a call failed with an unexpected error');
  }
  return { code, details: text, name: 'RpcError', message: text };
}

const toBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

const same = (bytes: Buffer): Buffer => bytes;

function encode(method: Method, message: unknown): Buffer {
  return toBuffer(message instanceof Encoded ? message.bytes : method.response.encode(message));
}

function decode(method: Method, bytes: Buffer): unknown {
  try {
    return method.request.decode(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RpcError(Code.INTERNAL, `grpc: error unmarshalling request: ${error.message}`);
  }
}

/** The calls that a listener is answering: each can be waited for, and all can be ended. */
export class LiveCalls {
  readonly #controllers = new Set<AbortController>();
  #onIdle: (() => void) | undefined;

  /** Follows `call`; the signal aborts when the caller is gone or its deadline has passed. */
  follow(call: RawCall): AbortSignal {
    const controller = new AbortController();
    this.#controllers.add(controller);
    // gRPC says so at the end of every call, however it ended.
    call.on('cancelled', () => this.#end(controller));
    return controller.signal;
  }

  /** Resolves when no call is left. */
  idle(): Promise<void> {
    if (this.#controllers.size === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onIdle = resolve));
  }

  /** Ends every call for its handler. */
  endAll(): void {
    for (const controller of this.#controllers) this.#end(controller);
  }

  #end(controller: AbortController): void {
    this.#controllers.delete(controller);
    controller.abort(new CallEnded());
    if (this.#controllers.size === 0) this.#onIdle?.();
  }
}

/** Reads a call's request headers. */
export const headerOf =
  (call: RawCall): Header =>
  (name) =>
    call.metadata.get(name).map(String);

const READY = Promise.resolve();

/** Writes to a gRPC stream; waiting writers share one wait for room. */
class CallSink implements Sink<unknown> {
  readonly signal: AbortSignal;
  readonly #call: grpc.ServerWritableStream<Buffer, Buffer>;
  readonly #method: Method;
  #room: Promise<void> | undefined;

  constructor(
    call: grpc.ServerWritableStream<Buffer, Buffer>,
    method: Method,
    signal: AbortSignal,
  ) {
    this.#call = call;
    this.#method = method;
    this.signal = signal;
  }

  write(message: unknown): Promise<void> {
    if (this.signal.aborted) return Promise.reject(new CallEnded());
    if (this.#call.write(encode(this.#method, message))) return READY;
    this.#room ??= this.#untilRoom();
    return this.#room;
  }

  #untilRoom(): Promise<void> {
    return new Promise((resolve, reject) => {
      const onDrain = (): void => {
        this.#room = undefined;
        this.signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = (): void => {
        this.#call.removeListener('drain', onDrain);
        reject(new CallEnded());
      };
      this.#call.once('drain', onDrain);
      this.signal.addEventListener('abort', onAbort, { once: true });
    });
  }
}

async function* decoded(
  method: Method,
  requests: AsyncIterable<Buffer>,
): AsyncGenerator<unknown, void> {
  for await (const bytes of requests) yield decode(method, bytes);
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield bytes;
}

const noWrite = (): Promise<void> => Promise.reject(new Error('this call has no response stream'));

type Bound = { readonly method: Method; readonly handler: AnyHandler; readonly gate: Gate };

/** Answers a call here, or lets the gate's relay answer it. */
async function answerOrRelay(
  { method, gate }: Bound,
  call: RawCall,
  rest: Pick<RelayContext, 'signal' | 'write' | 'here'> & {
    readonly requests: AsyncIterable<Buffer>;
  },
): Promise<Buffer | undefined> {
  const { requests, signal, write, here } = rest;
  const relay = gate.route(method);
  if (relay === undefined) return toAnswer(await here());
  const context = { header: headerOf(call), peer: gate.peer(call), signal, write, here };
  return toAnswer(await relay.relay(method, requests, context));
}

const toAnswer = (bytes: Uint8Array | undefined): Buffer | undefined =>
  bytes === undefined ? undefined : toBuffer(bytes);

function answerUnary(
  bound: Bound,
  call: grpc.ServerUnaryCall<Buffer, Buffer>,
): Promise<Buffer | undefined> {
  const { method, handler, gate } = bound;
  const signal = gate.calls.follow(call);
  const here = async (): Promise<Buffer> => {
    const caller = gate.admit(call, method);
    return encode(method, await handler(decode(method, call.request), caller, signal));
  };
  return answerOrRelay(bound, call, { requests: one(call.request), signal, write: noWrite, here });
}

async function answerServerStream(
  bound: Bound,
  call: grpc.ServerWritableStream<Buffer, Buffer>,
  sink: CallSink,
): Promise<void> {
  const { method, handler, gate } = bound;
  const { signal } = sink;
  const write = (bytes: Uint8Array): Promise<void> => sink.write(new Encoded(bytes));
  const here = async (): Promise<undefined> => {
    const caller = gate.admit(call, method);
    await handler(decode(method, call.request), caller, sink);
  };
  await answerOrRelay(bound, call, { requests: one(call.request), signal, write, here });
}

function answerClientStream(
  bound: Bound,
  call: grpc.ServerReadableStream<Buffer, Buffer>,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const { method, handler, gate } = bound;
  const requests = call as AsyncIterable<Buffer>;
  const here = async (): Promise<Buffer | undefined> => {
    const caller = gate.admit(call, method);
    const response = await handler(decoded(method, requests), caller, signal);
    return response === undefined ? undefined : encode(method, response);
  };
  return answerOrRelay(bound, call, { requests, signal, write: noWrite, here });
}

/** Sends the one answer of a call; "none" is a good end without a message. */
async function respondWith(
  respond: grpc.sendUnaryData<Buffer>,
  answer: Promise<Buffer | undefined>,
  { method, gate }: Bound,
): Promise<void> {
  try {
    const bytes = await answer;
    if (bytes === undefined) respond({ code: GrpcStatus.OK, details: 'OK' });
    else respond(null, bytes);
  } catch (error) {
    respond(failure(error, method, gate.log));
  }
}

async function stream(
  bound: Bound,
  call: grpc.ServerWritableStream<Buffer, Buffer>,
): Promise<void> {
  const signal = bound.gate.calls.follow(call);
  try {
    await answerServerStream(bound, call, new CallSink(call, bound.method, signal));
    if (!signal.aborted) call.end();
  } catch (error) {
    if (signal.aborted) return;
    call.emit('error', failure(error, bound.method, bound.gate.log));
  }
}

const unary =
  (bound: Bound): grpc.handleUnaryCall<Buffer, Buffer> =>
  (call, respond) =>
    void respondWith(respond, answerUnary(bound, call), bound);

const clientStream =
  (bound: Bound): grpc.handleClientStreamingCall<Buffer, Buffer> =>
  (call, respond) =>
    void respondWith(
      respond,
      answerClientStream(bound, call, bound.gate.calls.follow(call)),
      bound,
    );

const serverStream =
  (bound: Bound): grpc.handleServerStreamingCall<Buffer, Buffer> =>
  (call) =>
    void stream(bound, call);

/** Registers every method of `implementation` with a gRPC server. */
export function register(server: grpc.Server, implementation: Implementation, gate: Gate): void {
  for (const { method, handler } of implementation.methods) {
    const bound: Bound = { method, handler, gate };
    if (method.requestStream) {
      server.register(method.path, clientStream(bound), same, same, 'clientStream');
    } else if (method.responseStream) {
      server.register(method.path, serverStream(bound), same, same, 'serverStream');
    } else {
      server.register(method.path, unary(bound), same, same, 'unary');
    }
  }
}
