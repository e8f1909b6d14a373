/**
 * Calls a service as if over the wire, without one: requests and answers are encoded and decoded, and
 * a server stream ends up in an inbox that the test reads at its own pace.
 */
import assert from 'node:assert/strict';
import { SERVICES } from '../../../shared/wire/gen/services.ts';
import type { Codec, Init } from '../../../shared/wire/runtime.ts';
import type { Caller } from '../../rpc/authorise.ts';
import { type Code, RpcError } from '../../rpc/errors.ts';
import { CallEnded } from '../../rpc/live-calls.ts';
import {
  Encoded,
  type Implementation,
  type Method,
  type RequestOf,
  type ResponseOf,
  type ServiceName,
  type Services,
  type Sink,
} from '../../rpc/service.ts';

export const callerOf = (nodeId: string): Caller => ({
  nodeId,
  organization: 'cluster',
  roles: ['swarm-worker'],
  remoteAddress: '10.0.0.1:4242',
  local: false,
  forwardedBy: undefined,
});

/** For `assert.rejects`: a status with this code and exactly this text. */
export const status = (code: Code, text: string) => (error: unknown) => {
  assert.ok(error instanceof RpcError, String(error));
  assert.deepEqual([error.code, error.message], [code, text]);
  return true;
};

/** The reading end of a server stream. */
export class Inbox<T> implements Sink<T> {
  readonly #codec: Codec<T>;
  readonly #controller = new AbortController();
  /** Everything that was written. */
  readonly messages: T[] = [];
  #read = 0;
  #wake: (() => void) | undefined;
  #full: PromiseWithResolvers<void> | undefined;
  #over = false;
  /** Resolves when the handler returns; rejects with what it threw. */
  ended: Promise<void> = Promise.resolve();

  constructor(codec: Codec<T>) {
    this.#codec = codec;
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  async write(message: T | Encoded): Promise<void> {
    if (this.signal.aborted) throw new CallEnded();
    const bytes = message instanceof Encoded ? message.bytes : this.#codec.encode(message);
    this.messages.push(this.#codec.decode(bytes));
    this.#wake?.();
    await this.#full?.promise;
  }

  /** From now on there is no room, until `resume`. */
  stall(): void {
    this.#full = Promise.withResolvers();
  }

  resume(): void {
    this.#full?.resolve();
    this.#full = undefined;
  }

  /** The handler whose stream this is. */
  follow(handler: Promise<unknown>): void {
    this.ended = handler.then(() => undefined);
    const over = (): void => {
      this.#over = true;
      this.#wake?.();
    };
    this.ended.then(over, over);
  }

  get unread(): number {
    return this.messages.length - this.#read;
  }

  /** The next message; rejects when the stream ends before one comes. */
  async next(): Promise<T> {
    for (;;) {
      const message = this.messages[this.#read];
      if (message !== undefined) {
        this.#read += 1;
        return message;
      }
      if (this.#over) {
        await this.ended;
        throw new Error('the stream has ended');
      }
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** The caller goes away. Resolves when the handler has noticed. */
  async cancel(): Promise<void> {
    this.#controller.abort(new CallEnded());
    this.resume();
    await this.ended.catch(() => undefined);
  }
}

/** The codec of a method whose types only the test knows. */
type AnyCodec = {
  create(init: unknown): unknown;
  encode(message: unknown): Uint8Array;
  decode(bytes: Uint8Array): unknown;
};

/** A request as the other side sees it. */
const carried = (codec: AnyCodec, init: unknown): unknown =>
  codec.decode(codec.encode(codec.create(init)));

type MethodName<S extends ServiceName> = keyof Services[S] & string;

/** The methods of one service. */
export class Calls<S extends ServiceName> {
  readonly #implementation: Implementation;
  readonly #service: S;

  constructor(service: S, implementations: readonly Implementation[]) {
    const found = implementations.find((each) => each.service === service);
    assert.ok(found, `${service} is not implemented`);
    this.#service = service;
    this.#implementation = found;
  }

  #bind(name: string) {
    const row: Readonly<Record<string, Method>> = SERVICES[this.#service];
    const found = this.#implementation.methods.find((each) => each.method === row[name]);
    assert.ok(found, `${name} is not implemented`);
    return found;
  }

  /** Calls a method with one answer. */
  ask<K extends MethodName<S>>(
    nodeId: string,
    name: K,
    init: Init<RequestOf<Services[S][K]>>,
  ): Promise<ResponseOf<Services[S][K]>>;
  async ask(nodeId: string, name: string, init: unknown): Promise<unknown> {
    const { method, handler } = this.#bind(name);
    const request = carried(method.request, init);
    const answer = await handler(request, callerOf(nodeId), new AbortController().signal);
    return method.response.decode(method.response.encode(answer));
  }

  /** Calls a method that answers with a stream. */
  open<K extends MethodName<S>>(
    nodeId: string,
    name: K,
    init: Init<RequestOf<Services[S][K]>>,
  ): Inbox<ResponseOf<Services[S][K]>>;
  open(nodeId: string, name: string, init: unknown): unknown {
    const { method, handler } = this.#bind(name);
    const request = carried(method.request, init);
    const inbox = new Inbox(method.response);
    const run = async (): Promise<void> => {
      await handler(request, callerOf(nodeId), inbox);
    };
    inbox.follow(run());
    return inbox;
  }

  /** Calls a method that takes a stream. */
  send<K extends MethodName<S>>(
    nodeId: string,
    name: K,
    requests: AsyncIterable<Init<RequestOf<Services[S][K]>>>,
  ): Promise<unknown>;
  async send(nodeId: string, name: string, requests: AsyncIterable<unknown>): Promise<unknown> {
    const { method, handler } = this.#bind(name);
    async function* decoded(): AsyncGenerator<unknown, void> {
      for await (const init of requests) {
        yield carried(method.request, init);
      }
    }
    return handler(decoded(), callerOf(nodeId), new AbortController().signal);
  }
}
