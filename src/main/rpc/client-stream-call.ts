/** Calls with a stream of requests and one answer, on gRPC's own handlers. */
import { status as GrpcStatus } from '@grpc/grpc-js';
import type * as grpc from '@grpc/grpc-js';
import { type Bound, decode, encode, failure, noWrite, relayed } from './calls.ts';
import type { LiveCall } from './live-calls.ts';
import type { Method } from './service.ts';

/** Counts a call until gRPC says that it is over, which it does however a call ends. */
function follow(
  { gate }: Bound,
  call: { on(event: 'cancelled', listener: () => void): unknown },
): LiveCall {
  const live = gate.calls.begin();
  call.on('cancelled', () => gate.calls.end(live));
  return live;
}

async function* decoded(
  method: Method,
  requests: AsyncIterable<Buffer>,
): AsyncGenerator<unknown, void> {
  for await (const bytes of requests) yield decode(method, bytes);
}

async function answerClientStream(
  bound: Bound,
  call: grpc.ServerReadableStream<Buffer, Buffer>,
  live: LiveCall,
): Promise<Buffer | undefined> {
  const { method, handler, gate } = bound;
  const requests = call as AsyncIterable<Buffer>;
  const here = async (): Promise<Buffer | undefined> => {
    const caller = gate.admit(call, method);
    const response = await handler(decoded(method, requests), caller, live);
    return response === undefined ? undefined : encode(method, response);
  };
  const relay = gate.route(method);
  if (relay === undefined) return await here();
  return await relayed(relay, bound, call, { requests, signal: live.signal, write: noWrite, here });
}

/** Sends the one answer of a call; "none" is a good end without a message. */
async function respondWith(
  respond: grpc.sendUnaryData<Buffer>,
  answer: Promise<Buffer | undefined>,
  bound: Bound,
): Promise<void> {
  try {
    const bytes = await answer;
    if (bytes === undefined) respond({ code: GrpcStatus.OK, details: 'OK' });
    else respond(null, bytes);
  } catch (error) {
    respond(failure(error, bound));
  }
}

export const clientStream =
  (bound: Bound): grpc.handleClientStreamingCall<Buffer, Buffer> =>
  (call, respond) =>
    void respondWith(respond, answerClientStream(bound, call, follow(bound, call)), bound);
