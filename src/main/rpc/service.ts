/**
 * Implementing a service of the generated table, without a word about gRPC: a handler takes decoded
 * messages and the caller, and returns or streams messages.
 */
import { SERVICES } from '../../shared/wire/gen/services.ts';
import type { Codec } from '../../shared/wire/runtime.ts';
import type { Caller, Header, Peer } from './authorise.ts';
import type { CallContext } from './live-calls.ts';

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
      call: CallContext,
    ) => MaybePromise<ResponseOf<M> | Encoded | undefined>
  : M extends { readonly responseStream: true }
    ? (request: RequestOf<M>, caller: Caller, sink: Sink<ResponseOf<M>>) => MaybePromise<void>
    : (
        request: RequestOf<M>,
        caller: Caller,
        call: CallContext,
      ) => MaybePromise<ResponseOf<M> | Encoded>;

export type Handlers<S extends ServiceName> = {
  readonly [K in keyof Services[S]]: Handler<Services[S][K]>;
};

export type AnyHandler = (request: unknown, caller: Caller, third: unknown) => unknown;

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
 * Answers a call elsewhere, or here but later. It gets the raw messages; a call that is passed on is
 * authorised where it arrives.
 */
export type Relay = {
  /** The answer's bytes, or `undefined` for none; server streams write to the context instead. */
  readonly relay: (
    method: Method,
    requests: AsyncIterable<Uint8Array>,
    context: RelayContext,
  ) => Promise<Uint8Array | undefined>;
};
