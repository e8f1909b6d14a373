/** Calls with a stream of answers: those that a node keeps open with its manager. */
import { decode, encode, one, relayed } from './calls.ts';
import { CallEnded, type LiveCall } from './live-calls.ts';
import { OneRequestCall } from './one-request-call.ts';
import { Encoded, type Method, type Sink } from './service.ts';

/** Messages on their way to a client that does not read before its writer has to wait. */
const UNSENT_MAX = 16;

const READY = Promise.resolve();

/** Sends the messages of a call; waiting writers share one wait for room. */
class CallSink implements Sink<unknown> {
  readonly #method: Method;
  readonly #live: LiveCall;
  readonly #send: (bytes: Buffer, sent: () => void) => void;
  #unsent = 0;
  #room: PromiseWithResolvers<void> | undefined;

  constructor(method: Method, live: LiveCall, send: (bytes: Buffer, sent: () => void) => void) {
    this.#method = method;
    this.#live = live;
    this.#send = send;
  }

  get signal(): AbortSignal {
    return this.#live.signal;
  }

  write(message: unknown): Promise<void> {
    if (this.#live.over) return Promise.reject(new CallEnded());
    const bytes = encode(this.#method, message);
    this.#unsent += 1;
    this.#send(bytes, () => this.#sent());
    if (this.#unsent < UNSENT_MAX) return READY;
    this.#room ??= this.#untilRoom();
    return this.#room.promise;
  }

  #sent(): void {
    this.#unsent -= 1;
    if (this.#unsent >= UNSENT_MAX) return;
    this.#room?.resolve();
    this.#room = undefined;
  }

  #untilRoom(): PromiseWithResolvers<void> {
    const room = Promise.withResolvers<void>();
    const { signal } = this;
    const onAbort = (): void => room.reject(new CallEnded());
    signal.addEventListener('abort', onAbort, { once: true });
    const over = (): void => signal.removeEventListener('abort', onAbort);
    room.promise.then(over, over);
    return room;
  }
}

export class ServerStreamCall extends OneRequestCall {
  protected answer(request: Buffer, live: LiveCall): void {
    const send = (bytes: Buffer, sent: () => void): void => this.base.sendMessage(bytes, sent);
    void this.#end(this.#route(request, new CallSink(this.bound.method, live, send)), live);
  }

  async #end(answered: Promise<unknown>, live: LiveCall): Promise<void> {
    try {
      await answered;
      if (!live.over) this.succeed();
    } catch (error) {
      if (!live.over) this.fail(error);
    }
  }

  // Not async, as nothing between here and the handler: its frame would keep the request for as long as
  // the stream is open.
  #route(request: Buffer, sink: CallSink): Promise<unknown> {
    const relay = this.bound.gate.route(this.bound.method);
    if (relay === undefined) return this.#here(request, sink);
    return relayed(relay, this.bound, this, {
      requests: one(request),
      signal: sink.signal,
      write: (bytes) => sink.write(new Encoded(bytes)),
      here: async () => {
        await this.#here(request, sink);
        return undefined;
      },
    });
  }

  #here(request: Buffer, sink: CallSink): Promise<unknown> {
    const { method, handler, gate } = this.bound;
    const caller = gate.admit(this, method);
    return Promise.resolve(handler(decode(method, request), caller, sink));
  }
}
