/**
 * What every call goes through before and after its handler, whatever its shape: where it is answered,
 * who may call, decoding, and turning errors into statuses.
 */
import { WireError } from '../../shared/wire/runtime.ts';
import type { Log } from '../log.ts';
import type { Caller, Header, Peer } from './authorise.ts';
import type { CallLine } from './call-line.ts';
import { Code, RpcError, type Status, statusOf } from './errors.ts';
import type { LiveCalls } from './live-calls.ts';
import { type AnyHandler, Encoded, type Method, type Relay, type RelayContext } from './service.ts';

/** What is known of a call of any shape before it is read. */
export type RawCall = {
  readonly header: Header;
  /** Whose connection it came over. */
  readonly peer: Peer;
};

/** What a listener decides for every call. */
export type Gate = {
  /** Who calls, or an RpcError when they may not. */
  readonly admit: (call: RawCall, method: Method) => Caller;
  /** `undefined`: handle the call here. */
  readonly route: (method: Method) => Relay | undefined;
  /** The calls being answered. */
  readonly calls: LiveCalls;
  /** Largest request message. */
  readonly receiveBytesMax: number;
  /** Where calls that were read wait for their turn. */
  readonly line: CallLine;
  readonly log: Log;
};

/** A method with its handler, on a listener. */
export type Bound = { readonly method: Method; readonly handler: AnyHandler; readonly gate: Gate };

/** The status that says why a call failed. */
export function failure(error: unknown, { method, gate }: Bound): Status {
  const status = statusOf(error);
  if (!status.expected) {
    gate.log.warn({ method: method.path, error }, 'a call failed with an unexpected error');
  }
  return status;
}

export const encode = (method: Method, message: unknown): Uint8Array =>
  message instanceof Encoded ? message.bytes : method.response.encode(message);

export function decode(method: Method, bytes: Uint8Array): unknown {
  try {
    return method.request.decode(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RpcError(Code.INTERNAL, `grpc: error unmarshalling request: ${error.message}`);
  }
}

export async function* one(bytes: Uint8Array): AsyncGenerator<Uint8Array, void> {
  yield bytes;
}

export const noWrite = (): Promise<void> =>
  Promise.reject(new Error('this call has no response stream'));

/** Lets the gate's relay answer a call; `undefined` when it ends well but without a message. */
export function relayed(
  relay: Relay,
  { method }: Bound,
  { header, peer }: RawCall,
  rest: Omit<RelayContext, 'header' | 'peer'> & { readonly requests: AsyncIterable<Uint8Array> },
): Promise<Uint8Array | undefined> {
  const { requests, ...context } = rest;
  return relay.relay(method, requests, { header, peer, ...context });
}
