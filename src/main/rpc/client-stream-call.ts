/** Calls with a stream of requests and one answer. */
import { decode, encode, noWrite, relayed } from './calls.ts';
import { CallEnded, type LiveCall } from './live-calls.ts';
import type { Method } from './service.ts';
import { ServerCall } from './server-call.ts';

/** Messages that may wait for a slow handler before the stream is paused. */
const QUEUE_MAX = 16;

/** The messages of a call as they come, taken by one reader. */
class Requests {
  readonly #stream: { pause(): unknown; resume(): unknown };
  readonly #queue: Buffer[] = [];
  #state: 'open' | 'complete' | 'broken' = 'open';
  #wake: (() => void) | undefined;

  constructor(stream: { pause(): unknown; resume(): unknown }) {
    this.#stream = stream;
  }

  push(message: Buffer): void {
    this.#queue.push(message);
    if (this.#queue.length === QUEUE_MAX) this.#stream.pause();
    this.#wake?.();
  }

  /** No more messages come: the client has sent all, or the call is over. */
  end(how: 'complete' | 'broken'): void {
    this.#state = how;
    this.#wake?.();
  }

  /** @throws CallEnded when the call is over before its client has sent all */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void> {
    for (;;) {
      if (this.#state === 'broken') throw new CallEnded();
      const next = this.#queue.shift();
      if (next !== undefined) {
        if (this.#queue.length === QUEUE_MAX - 1) this.#stream.resume();
        yield next;
      } else if (this.#state === 'complete') return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function* decoded(
  method: Method,
  requests: AsyncIterable<Buffer>,
): AsyncGenerator<unknown, void> {
  for await (const bytes of requests) yield decode(method, bytes);
}

export class ClientStreamCall extends ServerCall {
  readonly #requests = new Requests(this.stream);

  /** The handler reads from the beginning on. */
  override start(): void {
    super.start();
    if (this.isOver) return;
    this.#route(this.begin()).then(
      (bytes) => (bytes === undefined ? this.succeed() : this.reply(bytes)),
      (error: unknown) => this.fail(error),
    );
  }

  protected onMessage(message: Buffer): void {
    this.#requests.push(message);
  }

  protected onRequestEnd(): void {
    this.#requests.end('complete');
  }

  protected override onOver(): void {
    this.#requests.end('broken');
  }

  async #route(live: LiveCall): Promise<Uint8Array | undefined> {
    const relay = this.bound.gate.route(this.bound.method);
    const here = (): Promise<Uint8Array | undefined> => this.#here(live);
    if (relay === undefined) return await here();
    const { signal } = live;
    const requests = this.#requests;
    return await relayed(relay, this.bound, this, { requests, signal, write: noWrite, here });
  }

  async #here(live: LiveCall): Promise<Uint8Array | undefined> {
    const { method, handler, gate } = this.bound;
    const caller = gate.admit(this, method);
    const response = await handler(decoded(method, this.#requests), caller, live);
    return response === undefined ? undefined : encode(method, response);
  }
}
