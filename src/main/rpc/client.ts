/**
 * Calling another manager, or this node's control socket: typed clients over the generated table.
 *
 * Every failure is an `RpcError`, so a caller asks for codes and never for strings.
 */
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { type Init, WireError } from '../../shared/wire/runtime.ts';
import type { ChannelCall } from './channel-call.ts';
import { type ChannelTarget, Connection } from './connection.ts';
import { Code, RpcError } from './errors.ts';
import {
  Encoded,
  type Method,
  type RequestOf,
  type ResponseOf,
  type ServiceName,
  type Services,
} from './service.ts';

export { type ChannelTarget, dialFailure, SERVER_NAMES } from './connection.ts';

export type CallOptions = {
  readonly signal?: AbortSignal;
  /** Time from now after which the call fails with DeadlineExceeded, in milliseconds. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string | readonly string[]>>;
};

/** A client stream under way. */
type Upload<Request, Response> = {
  /**
   * Resolves when there is room for the next message.
   *
   * @throws RpcError once the call is over: its status, or Cancelled when the server ended it well.
   */
  write(message: Init<Request> | Encoded): Promise<void>;
  /** Ends the stream; resolves with the answer, or `undefined` when the server sent none. */
  finish(): Promise<Response | undefined>;
  cancel(): void;
};

/** A method as its caller sees it. A server stream begins when it is first read. */
type Callable<M> = M extends { readonly requestStream: true }
  ? (options?: CallOptions) => Upload<RequestOf<M>, ResponseOf<M>>
  : M extends { readonly responseStream: true }
    ? (request: Init<RequestOf<M>> | Encoded, options?: CallOptions) => AsyncIterable<ResponseOf<M>>
    : (request: Init<RequestOf<M>> | Encoded, options?: CallOptions) => Promise<ResponseOf<M>>;

export type ServiceClient<S extends ServiceName> = {
  readonly [K in keyof Services[S]]: Callable<Services[S][K]>;
};

/** The codec of a method whose types are known only at its caller. */
type AnyCodec = { create(init: unknown): unknown; encode(message: unknown): Uint8Array };

function encode(codec: AnyCodec, message: unknown): Uint8Array {
  return message instanceof Encoded ? message.bytes : codec.encode(codec.create(message));
}

function decode(method: Method, bytes: Uint8Array): unknown {
  try {
    return method.response.decode(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RpcError(Code.INTERNAL, error.message);
  }
}

export const cancelled = (): RpcError => new RpcError(Code.CANCELLED, 'the call was cancelled');
const expired = (): RpcError => new RpcError(Code.DEADLINE_EXCEEDED, 'Deadline exceeded');

/** gRPC allows eight digits. */
const TIMEOUT_MS_MAX = 99_999_999;

function headersOf({ timeoutMs, metadata }: CallOptions): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {};
  for (const [name, value] of Object.entries(metadata ?? {})) {
    headers[name] = typeof value === 'string' ? value : [...value];
  }
  if (timeoutMs !== undefined) {
    headers['grpc-timeout'] = `${Math.min(Math.max(1, Math.ceil(timeoutMs)), TIMEOUT_MS_MAX)}m`;
  }
  return headers;
}

/** Watches a call's signal and deadline from before it has a stream until it is over. */
class Limits {
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #onAbort = (): void => this.#end(cancelled());
  #call: ChannelCall | undefined;
  #reject: ((reason: RpcError) => void) | undefined;

  constructor({ signal, timeoutMs }: CallOptions) {
    this.#signal = signal;
    if (signal?.aborted) throw cancelled();
    signal?.addEventListener('abort', this.#onAbort, { once: true });
    if (timeoutMs !== undefined) this.#timer = setTimeout(() => this.#end(expired()), timeoutMs);
  }

  /** The call that `opening` yields, or the reason why time or patience ended first. */
  async follow(opening: Promise<ChannelCall>): Promise<ChannelCall> {
    const early = Promise.withResolvers<never>();
    this.#reject = early.reject;
    try {
      this.#call = await Promise.race([opening, early.promise]);
    } catch (error) {
      this.#release();
      opening.then(
        (call) => call.cancel(cancelled()),
        () => undefined,
      );
      throw error;
    }
    void this.#call.ended.then(() => this.#release());
    return this.#call;
  }

  #release(): void {
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener('abort', this.#onAbort);
  }

  #end(reason: RpcError): void {
    this.#reject?.(reason);
    this.#call?.cancel(reason);
  }
}

/** The message of a call that has exactly one, or none. */
export async function onlyAnswer(call: ChannelCall): Promise<Buffer | undefined> {
  await call.ended;
  if (call.outcome !== 'ok') throw call.outcome ?? cancelled();
  const answer = call.take();
  if (call.take() !== undefined) throw new RpcError(Code.INTERNAL, 'received more than one answer');
  return answer;
}

function unary(connection: Connection, method: Method) {
  return async (request: unknown, options: CallOptions = {}): Promise<unknown> => {
    const message = encode(method.request, request);
    const call = await new Limits(options).follow(connection.call(method.path, headersOf(options)));
    call.finish(message);
    const answer = await onlyAnswer(call);
    if (answer === undefined) throw new RpcError(Code.INTERNAL, 'received no answer');
    return decode(method, answer);
  };
}

/** The messages of a call as they come; whoever stops reading cancels it. */
export async function* messagesOf(call: ChannelCall): AsyncGenerator<Buffer, void> {
  try {
    for (;;) {
      const next = call.take();
      if (next !== undefined) yield next;
      else if (call.outcome === undefined) await call.changed();
      else if (call.outcome === 'ok') return;
      else throw call.outcome;
    }
  } finally {
    call.cancel(cancelled());
  }
}

function serverStream(connection: Connection, method: Method) {
  return async function* (
    request: unknown,
    options: CallOptions = {},
  ): AsyncGenerator<unknown, void> {
    const message = encode(method.request, request);
    const call = await new Limits(options).follow(connection.call(method.path, headersOf(options)));
    call.finish(message);
    for await (const bytes of messagesOf(call)) yield decode(method, bytes);
  };
}

class ChannelUpload implements Upload<unknown, unknown> {
  readonly #method: Method;
  readonly #call: Promise<ChannelCall>;

  constructor(connection: Connection, method: Method, options: CallOptions) {
    this.#method = method;
    this.#call = new Limits(options).follow(connection.call(method.path, headersOf(options)));
    // Whoever writes or finishes learns of a failure; it must not crash one who does neither.
    this.#call.catch(() => undefined);
  }

  async write(message: unknown): Promise<void> {
    const bytes = encode(this.#method.request, message);
    const call = await this.#call;
    const { outcome } = call;
    if (outcome === 'ok') throw new RpcError(Code.CANCELLED, 'the server has ended the call');
    if (outcome !== undefined) throw outcome;
    if (!call.send(bytes)) await call.room();
  }

  async finish(): Promise<unknown> {
    const call = await this.#call;
    call.finish();
    const answer = await onlyAnswer(call);
    return answer === undefined ? undefined : decode(this.#method, answer);
  }

  cancel(): void {
    void this.#call.then(
      (call) => call.cancel(cancelled()),
      () => undefined,
    );
  }
}

function callable(connection: Connection, method: Method): unknown {
  if (method.requestStream) {
    return (options: CallOptions = {}) => new ChannelUpload(connection, method, options);
  }
  return method.responseStream ? serverStream(connection, method) : unary(connection, method);
}

/** One connection to one place, and the clients of its services. */
export class Channel {
  readonly #connection: Connection;
  readonly #services = new Map<ServiceName, unknown>();

  /** Connects at the first call. `onLost` is told when a connection has ended, unless by `close`. */
  constructor(target: ChannelTarget, onLost?: () => void) {
    this.#connection = new Connection(target, onLost);
  }

  service<S extends ServiceName>(name: S): ServiceClient<S>;
  service(name: ServiceName): unknown {
    let found = this.#services.get(name);
    if (found === undefined) {
      const rows: Readonly<Record<string, Method>> = SERVICES[name];
      found = Object.fromEntries(
        Object.entries(rows).map(([method, row]) => [method, callable(this.#connection, row)]),
      );
      this.#services.set(name, found);
    }
    return found;
  }

  /**
   * Begins a call whose messages the caller reads and writes as bytes.
   *
   * @throws RpcError when nothing was sent: Unavailable without a connection, Cancelled or
   * DeadlineExceeded by the options.
   */
  async open(path: string, options: CallOptions = {}): Promise<ChannelCall> {
    return await new Limits(options).follow(this.#connection.call(path, headersOf(options)));
  }

  /** Ends the connection; calls under way fail with `reason`, by default Cancelled. */
  close(reason?: RpcError): void {
    this.#connection.close(reason);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
