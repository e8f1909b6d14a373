/**
 * Calls that send one message: all but those of a client stream.
 *
 * They are answered where gRPC's interceptors stand, in front of its own handlers, which make a stream
 * object, its metadata and a few promises for each call, and keep them as long as it lasts. Thousands of
 * calls come in a second while tasks come up, and each node has three open all the time.
 */
import {
  Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  status as GrpcStatus,
} from '@grpc/grpc-js';
import { isPrompt } from './call-line.ts';
import { type Bound, failure, type RawCall } from './calls.ts';
import type { LiveCall } from './live-calls.ts';

type Listener = Parameters<ServerInterceptingCallInterface['start']>[0];

const OK = { code: GrpcStatus.OK, details: 'OK' } as const;

const isStatus = (code: number): code is GrpcStatus => code in GrpcStatus;

export abstract class OneRequestCall extends ServerInterceptingCall implements Listener, RawCall {
  protected readonly bound: Bound;
  /** gRPC's end of the call, past the checks that an interceptor needs and this does not. */
  protected readonly base: ServerInterceptingCallInterface;
  #metadata: Metadata | undefined;
  #request: Buffer | undefined;
  #live: LiveCall | undefined;

  constructor(bound: Bound, base: ServerInterceptingCallInterface) {
    super(base);
    this.bound = bound;
    this.base = base;
  }

  /** Answers, and ends the call with `succeed` or `fail`. */
  protected abstract answer(request: Buffer, live: LiveCall): void;

  /** Takes the place of gRPC's own handler, which would have listened. */
  override start(): void {
    this.base.start(this);
  }

  get metadata(): Metadata {
    return (this.#metadata ??= new Metadata());
  }

  onReceiveMetadata(metadata: Metadata): void {
    this.#metadata = metadata;
    this.base.startRead();
  }

  onReceiveMessage(message: Buffer): void {
    if (this.#request !== undefined) return this.#refuse('Received a second request message');
    this.#request = message;
    this.base.startRead();
  }

  onReceiveHalfClose(): void {
    const request = this.#request;
    if (request === undefined) return this.#refuse('Received no request message');
    // Not kept: it may be part of a page that many small buffers share.
    this.#request = undefined;
    const { gate, method } = this.bound;
    const live = (this.#live = gate.calls.begin());
    gate.line.add(() => this.#begin(request, live), isPrompt(method));
  }

  #begin(request: Buffer, live: LiveCall): void {
    if (live.over) return; // while it waited
    try {
      this.answer(request, live);
    } catch (error) {
      this.fail(error);
    }
  }

  /** Comes at the end of every call, however it ended. */
  onCancel(): void {
    if (this.#live !== undefined) this.bound.gate.calls.end(this.#live);
  }

  protected succeed(): void {
    this.base.sendStatus(OK);
  }

  protected fail(error: unknown): void {
    const { code, details } = failure(error, this.bound);
    this.base.sendStatus({ code: isStatus(code) ? code : GrpcStatus.UNKNOWN, details });
  }

  #refuse(what: string): void {
    const { path, responseStream } = this.bound.method;
    const kind = responseStream ? 'server streaming' : 'unary';
    const details = `${what} for the ${kind} method ${path}`;
    this.base.sendStatus({ code: GrpcStatus.UNIMPLEMENTED, details });
  }
}
