/** Calls that send one message: all but those of a client stream. */
import { isPrompt } from './call-line.ts';
import { Code, RpcError } from './errors.ts';
import type { LiveCall } from './live-calls.ts';
import { ServerCall } from './server-call.ts';

export abstract class OneRequestCall extends ServerCall {
  #request: Buffer | undefined;

  /** Answers, and ends the call. */
  protected abstract answer(request: Buffer, live: LiveCall): void;

  protected onMessage(message: Buffer): void {
    if (this.#request !== undefined) return this.#refuse('Received a second request message');
    this.#request = message;
  }

  protected onRequestEnd(): void {
    const request = this.#request;
    if (request === undefined) return this.#refuse('Received no request message');
    // Not kept: it may be part of a page that many small buffers share.
    this.#request = undefined;
    const { gate, method } = this.bound;
    const live = this.begin();
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

  #refuse(what: string): void {
    const { path, responseStream } = this.bound.method;
    const kind = responseStream ? 'server streaming' : 'unary';
    this.fail(new RpcError(Code.UNIMPLEMENTED, `${what} for the ${kind} method ${path}`));
  }
}
