/**
 * What every call goes through before and after its handler, whatever its shape: where it is answered,
 * who may call, decoding, and turning errors into statuses.
 */
import type { PeerCertificate } from 'node:tls';
import type { Metadata } from '@grpc/grpc-js';
import { WireError } from '../../shared/wire/runtime.ts';
import type { Log } from '../log.ts';
import type { Caller, Header, Peer } from './authorise.ts';
import type { CallLine } from './call-line.ts';
import { Code, RpcError, statusOf } from './errors.ts';
import type { LiveCalls } from './live-calls.ts';
import { type AnyHandler, Encoded, type Method, type Relay, type RelayContext } from './service.ts';

/** What gRPC knows of a call of any shape. */
export type RawCall = {
  readonly metadata: Metadata;
  getPeer(): string;
  getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate };
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
  /** Where calls that were read wait for their turn. */
  readonly line: CallLine;
  readonly log: Log;
};

/** A method with its handler, on a listener. */
export type Bound = { readonly method: Method; readonly handler: AnyHandler; readonly gate: Gate };

/** A status that says why a call failed. */
export type Failure = { code: number; details: string; name: string; message: string };

export function failure(error: unknown, { method, gate }: Bound): Failure {
  const { code, text, expected } = statusOf(error);
  if (!expected) {
    gate.log.warn({ method: method.path, error }, 'a call failed with an unexpected error');
  }
  return { code, details: text, name: 'RpcError', message: text };
}

export const toBuffer = (bytes: Uint8Array): Buffer =>
  Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export function encode(method: Method, message: unknown): Buffer {
  return toBuffer(message instanceof Encoded ? message.bytes : method.response.encode(message));
}

export function decode(method: Method, bytes: Buffer): unknown {
  try {
    return method.request.decode(bytes);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new RpcError(Code.INTERNAL, `grpc: error unmarshalling request: ${error.message}`);
  }
}

/** Reads a call's request headers. */
export const headerOf =
  (call: RawCall): Header =>
  (name) =>
    call.metadata.get(name).map(String);

export async function* one(bytes: Buffer): AsyncGenerator<Buffer, void> {
  yield bytes;
}

export const noWrite = (): Promise<void> =>
  Promise.reject(new Error('this call has no response stream'));

/** Lets the gate's relay answer a call; `undefined` when it ends well but without a message. */
export async function relayed(
  relay: Relay,
  { method, gate }: Bound,
  call: RawCall,
  rest: Omit<RelayContext, 'header' | 'peer'> & { readonly requests: AsyncIterable<Buffer> },
): Promise<Buffer | undefined> {
  const { requests, ...context } = rest;
  const all = { header: headerOf(call), peer: gate.peer(call), ...context };
  const bytes = await relay.relay(method, requests, all);
  return bytes === undefined ? undefined : toBuffer(bytes);
}
