/**
 * Calling another manager, or this node's control socket: typed clients over the generated table.
 *
 * A channel is one connection, made when it is first needed and made again after it broke. Every
 * failure is an `RpcError`, so a caller asks for codes and never for strings.
 */
import * as grpc from '@grpc/grpc-js';
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { type Codec, type Init, WireError } from '../../shared/wire/runtime.ts';
import { Code, RpcError, rpcError } from './errors.ts';
import { Encoded, type Method, type RequestOf, type ResponseOf } from './service.ts';
import type { ServiceName, Services } from './service.ts';

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

export type CallOptions = {
  readonly signal?: AbortSignal;
  /** Time from now after which the call fails with DeadlineExceeded, in milliseconds. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string | readonly string[]>>;
};

/** A client stream under way. */
export type Upload<Request, Response> = {
  /** Resolves when there is room for the next message. */
  write(message: Init<Request> | Encoded): Promise<void>;
  /** Ends the stream; resolves with the answer, or `undefined` when the server sent none. */
  finish(): Promise<Response | undefined>;
  cancel(): void;
};

export type Callable<M> = M extends { readonly requestStream: true }
  ? (options?: CallOptions) => Upload<RequestOf<M>, ResponseOf<M>>
  : M extends { readonly responseStream: true }
    ? (request: Init<RequestOf<M>>, options?: CallOptions) => AsyncIterable<ResponseOf<M>>
    : (request: Init<RequestOf<M>>, options?: CallOptions) => Promise<ResponseOf<M>>;

export type ServiceClient<S extends ServiceName> = {
  readonly [K in keyof Services[S]]: Callable<Services[S][K]>;
};

const CHANNEL_OPTIONS = {
  'grpc.use_local_subchannel_pool': 1,
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_retries': 0,
  'grpc.enable_channelz': 0,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2000,
} as const;

function unverified(): grpc.ChannelCredentials {
  return grpc.credentials.createSsl(null, null, null, {
    rejectUnauthorized: false,
    checkServerIdentity: () => undefined,
  });
}

function verified(target: ChannelTarget & { readonly to: 'manager' }): grpc.ChannelCredentials {
  const { identity } = target;
  return grpc.credentials.createSsl(
    Buffer.from(target.rootPem),
    identity === undefined ? null : Buffer.from(identity.keyPem),
    identity === undefined ? null : Buffer.from(identity.certificatePem),
  );
}

/** A name is always given: Node refuses an IP address as TLS server name. */
const optionsFor = (serverName: string): grpc.ChannelOptions => ({
  ...CHANNEL_OPTIONS,
  'grpc.ssl_target_name_override': serverName,
  'grpc.default_authority': serverName,
});

function open(target: ChannelTarget): grpc.Client {
  if (target.to === 'manager') {
    const options = optionsFor(target.serverName ?? SERVER_NAMES.MANAGER);
    return new grpc.Client(target.address, verified(target), options);
  }
  const address = target.to === 'socket' ? `unix:${target.path}` : target.address;
  return new grpc.Client(address, unverified(), optionsFor(SERVER_NAMES.MANAGER));
}

const toBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The codecs of a method whose types are known only at its caller. */
type AnyCodec = { create(init: unknown): unknown; encode(message: unknown): Uint8Array };

function encode(codec: AnyCodec, message: unknown): Buffer {
  if (message instanceof Encoded) return toBuffer(message.bytes);
  return toBuffer(codec.encode(codec.create(message)));
}

const same = (bytes: Buffer): Buffer => bytes;

function decode(codec: Codec<unknown>, bytes: Buffer): unknown {
  try {
    return codec.decode(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RpcError(Code.INTERNAL, error.message);
  }
}

/** A gRPC failure as our error; anything else stays what it is. */
function failure(error: unknown): unknown {
  if (!(error instanceof Error) || !('code' in error) || !('details' in error)) return error;
  return rpcError(Number(error.code), String(error.details));
}

function metadataOf(options: CallOptions | undefined): grpc.Metadata {
  const metadata = new grpc.Metadata();
  for (const [name, value] of Object.entries(options?.metadata ?? {})) {
    for (const one of typeof value === 'string' ? [value] : value) metadata.add(name, one);
  }
  return metadata;
}

const callOptions = (options: CallOptions | undefined): grpc.CallOptions =>
  options?.timeoutMs === undefined ? {} : { deadline: Date.now() + options.timeoutMs };

const cancelled = (): RpcError => new RpcError(Code.CANCELLED, 'the call was cancelled');

/** Cancels `call` when the signal says so; the returned function stops watching. */
function follow(signal: AbortSignal | undefined, call: { cancel(): void }): () => void {
  if (signal === undefined) return () => undefined;
  const cancel = (): void => call.cancel();
  signal.addEventListener('abort', cancel, { once: true });
  return () => signal.removeEventListener('abort', cancel);
}

function unary(client: grpc.Client, method: Method) {
  return (request: unknown, options?: CallOptions): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (options?.signal?.aborted) throw cancelled();
      const call = client.makeUnaryRequest(
        method.path,
        same,
        same,
        encode(method.request, request),
        metadataOf(options),
        callOptions(options),
        (error, bytes) => {
          unfollow();
          if (error) reject(failure(error));
          else settle(() => decode(method.response, bytes ?? Buffer.alloc(0)), resolve, reject);
        },
      );
      const unfollow = follow(options?.signal, call);
    });
}

function settle<T>(
  work: () => T,
  resolve: (value: T) => void,
  reject: (error: unknown) => void,
): void {
  try {
    resolve(work());
  } catch (error) {
    reject(error);
  }
}

function serverStream(client: grpc.Client, method: Method) {
  return async function* (request: unknown, options?: CallOptions): AsyncGenerator<unknown, void> {
    if (options?.signal?.aborted) throw cancelled();
    const call = client.makeServerStreamRequest(
      method.path,
      same,
      same,
      encode(method.request, request),
      metadataOf(options),
      callOptions(options),
    );
    const unfollow = follow(options?.signal, call);
    try {
      for await (const bytes of call as AsyncIterable<Buffer>) yield decode(method.response, bytes);
    } catch (error) {
      throw failure(error);
    } finally {
      unfollow();
      call.cancel();
    }
  };
}

/** gRPC's own complaint about a good end without a message, which SwarmKit's PublishLogs uses. */
const isEmptyAnswer = (error: grpc.ServiceError): boolean =>
  error.code === grpc.status.UNIMPLEMENTED && error.details === 'No message received';

class GrpcUpload implements Upload<unknown, unknown> {
  readonly #method: Method;
  readonly #call: grpc.ClientWritableStream<Buffer>;
  readonly #answer: Promise<unknown>;

  constructor(client: grpc.Client, method: Method, options: CallOptions | undefined) {
    this.#method = method;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#answer = promise;
    // Whoever calls `finish` or `write` learns of a failure; it must not crash one who does neither.
    promise.catch(() => undefined);
    this.#call = client.makeClientStreamRequest(
      method.path,
      same,
      same,
      metadataOf(options),
      callOptions(options),
      (error, bytes) => {
        unfollow();
        if (!error) settle(() => bytes && decode(method.response, bytes), resolve, reject);
        else if (isEmptyAnswer(error)) resolve(undefined);
        else reject(failure(error));
      },
    );
    const unfollow = follow(options?.signal, this.#call);
    if (options?.signal?.aborted) this.#call.cancel();
  }

  async write(message: unknown): Promise<void> {
    if (this.#call.write(encode(this.#method.request, message))) return;
    const room = new Promise((resolve) => this.#call.once('drain', resolve));
    await Promise.race([room, this.#answer]);
  }

  finish(): Promise<unknown> {
    this.#call.end();
    return this.#answer;
  }

  cancel(): void {
    this.#call.cancel();
  }
}

function caller(client: grpc.Client, method: Method): unknown {
  if (method.requestStream) {
    return (options?: CallOptions) => new GrpcUpload(client, method, options);
  }
  return method.responseStream ? serverStream(client, method) : unary(client, method);
}

/** One connection to one place, and the clients of its services. */
export class Channel {
  readonly #client: grpc.Client;
  readonly #services = new Map<ServiceName, unknown>();

  /** Connects at the first call. */
  constructor(target: ChannelTarget) {
    this.#client = open(target);
  }

  service<S extends ServiceName>(name: S): ServiceClient<S>;
  service(name: ServiceName): unknown {
    let found = this.#services.get(name);
    if (found === undefined) {
      const rows: Readonly<Record<string, Method>> = SERVICES[name];
      found = Object.fromEntries(
        Object.entries(rows).map(([method, row]) => [method, caller(this.#client, row)]),
      );
      this.#services.set(name, found);
    }
    return found;
  }

  /** Ends the connection; calls under way fail with Cancelled. */
  close(): void {
    this.#client.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
