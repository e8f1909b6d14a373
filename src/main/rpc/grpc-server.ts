/** The gRPC server under a listener: every method of its services, by its shape. */
import {
  Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServerOptions,
} from '@grpc/grpc-js';
import type { Bound, Gate } from './calls.ts';
import { clientStream } from './client-stream-call.ts';
import { ServerStreamCall } from './server-stream-call.ts';
import type { Implementation } from './service.ts';
import { UnaryCall } from './unary-call.ts';

const same = (bytes: Buffer): Buffer => bytes;

/** gRPC wants a handler to know the method; the interceptor answers in its place. */
const answeredBefore = (): never => {
  throw new Error('a call with one request got past its interceptor');
};

function register(server: Server, bound: Bound): void {
  const { path, requestStream, responseStream } = bound.method;
  if (requestStream) {
    server.register(path, clientStream(bound), same, same, 'clientStream');
  } else {
    server.register(path, answeredBefore, same, same, responseStream ? 'serverStream' : 'unary');
  }
}

/** Answers the calls of these methods that send one request; all others go on to gRPC's handlers. */
const oneRequestCalls =
  (methods: ReadonlyMap<string, Bound>): ServerInterceptor =>
  (definition, call) => {
    const bound = methods.get(definition.path);
    if (bound === undefined) return new ServerInterceptingCall(call);
    return bound.method.responseStream
      ? new ServerStreamCall(bound, call)
      : new UnaryCall(bound, call);
  };

/** A server that answers these services; it listens nowhere yet. */
export function grpcServer(
  services: readonly Implementation[],
  gate: Gate,
  options: ServerOptions,
): Server {
  const all = services.flatMap(({ methods }) => methods.map((row): Bound => ({ ...row, gate })));
  const one = all.filter(({ method }) => !method.requestStream);
  const interceptor = oneRequestCalls(new Map(one.map((bound) => [bound.method.path, bound])));
  const server = new Server({ ...options, interceptors: [interceptor] });
  for (const bound of all) register(server, bound);
  return server;
}
