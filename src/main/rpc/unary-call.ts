/** Calls of one message each way, by far the most. */
import { decode, encode, noWrite, one, relayed } from './calls.ts';
import type { LiveCall } from './live-calls.ts';
import { OneRequestCall } from './one-request-call.ts';

/** The answer's bytes, or `undefined` for a good end without a message. */
type Answer = Buffer | undefined;

const unsent = (): void => undefined;

export class UnaryCall extends OneRequestCall {
  protected answer(request: Buffer, live: LiveCall): void {
    const answer = this.#route(request, live);
    if (!(answer instanceof Promise)) return this.#send(answer);
    answer.then(
      (bytes) => this.#send(bytes),
      (error: unknown) => this.fail(error),
    );
  }

  #route(request: Buffer, live: LiveCall): Answer | Promise<Answer> {
    const relay = this.bound.gate.route(this.bound.method);
    if (relay === undefined) return this.#here(request, live);
    return relayed(relay, this.bound, this, {
      requests: one(request),
      signal: live.signal,
      write: noWrite,
      here: async () => this.#here(request, live),
    });
  }

  #here(request: Buffer, live: LiveCall): Buffer | Promise<Buffer> {
    const { method, handler, gate } = this.bound;
    const caller = gate.admit(this, method);
    const answer = handler(decode(method, request), caller, live);
    if (answer instanceof Promise) return answer.then((message) => encode(method, message));
    return encode(method, answer);
  }

  #send(answer: Answer): void {
    // gRPC sends both in this order; nothing is gained by a wait until the answer has left.
    if (answer !== undefined) this.base.sendMessage(answer, unsent);
    this.succeed();
  }
}
