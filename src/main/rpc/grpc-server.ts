/** The gRPC server under a listener: every method of its services, by its shape, on connections that it is given. */
import type { IncomingHttpHeaders, ServerHttp2Stream } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Peer } from './authorise.ts';
import type { Bound, Gate } from './calls.ts';
import { ClientStreamCall } from './client-stream-call.ts';
import { Code } from './errors.ts';
import {
  type CallConnection,
  isCall,
  refuse,
  refuseRequest,
  type ServerCall,
} from './server-call.ts';
import { type ConnectionLimits, ServerConnection } from './server-connection.ts';
import { ServerStreamCall } from './server-stream-call.ts';
import type { Implementation } from './service.ts';
import { UnaryCall } from './unary-call.ts';

function callOf(
  bound: Bound,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  from: CallConnection,
): ServerCall {
  const { requestStream, responseStream } = bound.method;
  if (requestStream) return new ClientStreamCall(bound, stream, headers, from);
  if (responseStream) return new ServerStreamCall(bound, stream, headers, from);
  return new UnaryCall(bound, stream, headers, from);
}

export class GrpcServer {
  readonly #methods: ReadonlyMap<string, Bound>;
  readonly #limits: ConnectionLimits;
  readonly #onError: (error: Error) => void;
  readonly #connections = new Set<ServerConnection>();

  constructor(
    services: readonly Implementation[],
    gate: Gate,
    limits: ConnectionLimits,
    onError: (error: Error) => void,
  ) {
    const all = services.flatMap(({ methods }) => methods.map((row): Bound => ({ ...row, gate })));
    this.#methods = new Map(all.map((bound) => [bound.method.path, bound]));
    this.#limits = limits;
    this.#onError = onError;
  }

  /** Answers the calls of a connection after its TLS handshake. */
  serve(socket: TLSSocket, peer: Peer): void {
    const connection = new ServerConnection({
      socket,
      limits: this.#limits,
      peer,
      onStream: (stream, headers, from) => this.#onStream(stream, headers, from),
      onError: this.#onError,
      onClose: () => this.#connections.delete(connection),
    });
    this.#connections.add(connection);
  }

  /** Takes no more calls, and tells every client; those under way go on. */
  goodbye(): void {
    for (const connection of this.#connections) connection.goodbye();
  }

  /** Cuts every connection. */
  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  #onStream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, from: CallConnection): void {
    if (stream.destroyed || stream.closed) return;
    const path = headers[':path'] ?? '';
    const bound = this.#methods.get(path);
    if (!isCall(headers)) refuseRequest(stream);
    else if (bound === undefined) {
      const text = `The server does not implement the method ${path}`;
      refuse(stream, Code.UNIMPLEMENTED, text);
    } else callOf(bound, stream, headers, from).start();
  }
}
