/**
 * One session of a simulated worker: the conversations that a stock engine has with its manager, over
 * a connection of its own (behaviour rule 11.1). The first that ends, ends the session.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { SESSION } from '../../src/main/agent/session.ts';
import { durationMs } from '../../src/shared/model/time.ts';
import { Channel, messagesOf, type ServiceClient } from '../../src/main/rpc/client.ts';
import { Code, RpcError } from '../../src/main/rpc/errors.ts';
import { Encoded } from '../../src/main/rpc/service.ts';
import { AssignmentsRequest, type SessionRequest } from '../../src/shared/wire/gen/dispatcher.ts';
import { clockMs } from './messages.ts';

/** Why everything of a session ends that was closed: made once, since thousands are in a few seconds. */
const CLOSED = new RpcError(Code.CANCELLED, 'the session was closed');

const ASSIGNMENTS = '/docker.swarmkit.v1.Dispatcher/Assignments';

export type SessionOptions = {
  /** `host:port`. */
  readonly address: string;
  readonly rootPem: string;
  /** The same object for each session of a worker. */
  readonly identity: { readonly certificatePem: string; readonly keyPem: string };
  /** With the id of the session before, if there was one. */
  readonly request: SessionRequest;
  /** An `AssignmentsMessage` has come. */
  readonly onAssignments: (bytes: Uint8Array) => void;
  /** A heartbeat was answered, after so long. */
  readonly onBeat: (ms: number) => void;
};

export class CrowdSession {
  readonly #options: SessionOptions;
  readonly #channel: Channel;
  readonly #dispatcher: ServiceClient<'Dispatcher'>;
  readonly #stop = new AbortController();
  readonly #told = Promise.withResolvers<void>();
  readonly #refused = Promise.withResolvers<never>();
  #id = '';

  constructor(options: SessionOptions) {
    const { address, rootPem, identity } = options;
    this.#options = options;
    this.#channel = new Channel({ to: 'manager', address, rootPem, identity });
    this.#dispatcher = this.#channel.service('Dispatcher');
    this.#refused.promise.catch(() => undefined); // told by `run`
  }

  get id(): string {
    return this.#id;
  }

  /** Registers. @throws when the manager does not answer, or too late. */
  async open(): Promise<AsyncIterator<unknown>> {
    const { signal } = this.#stop;
    const stream = this.#dispatcher.Session(this.#options.request, { signal });
    const messages = stream[Symbol.asyncIterator]();
    const timer = setTimeout(() => this.close(), SESSION.initiationMs);
    try {
      const { value, done } = await messages.next();
      if (done === true) throw new Error('the manager ended the session at once');
      this.#id = value.sessionId;
      return messages;
    } finally {
      clearTimeout(timer);
    }
  }

  /** Resolves once the worker was told of its tasks. */
  get told(): Promise<void> {
    return this.#told.promise;
  }

  /** Goes on with what `open` began until it ends, which is always an error. */
  async run(messages: AsyncIterator<unknown>): Promise<never> {
    try {
      await Promise.race([
        this.#drain(messages),
        this.#heartbeats(),
        this.#assignments(),
        this.#subscriptions(),
        this.#refused.promise,
      ]);
      throw new Error('the manager ended a stream');
    } finally {
      this.close();
    }
  }

  /** Sends an `UpdateTaskStatusRequest`. A refused one ends the session. */
  async report(bytes: Uint8Array): Promise<void> {
    try {
      const { signal } = this.#stop;
      await this.#dispatcher.UpdateTaskStatus(new Encoded(bytes), { signal });
    } catch (error) {
      this.#refused.reject(error);
      throw error;
    }
  }

  /** Cuts the connection: the manager is told nothing. */
  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(CLOSED);
    this.#channel.close(CLOSED);
  }

  async #drain(messages: AsyncIterator<unknown>): Promise<void> {
    while ((await messages.next()).done !== true);
  }

  async #heartbeats(): Promise<void> {
    const { signal } = this.#stop;
    const options = { signal, timeoutMs: SESSION.heartbeatTimeoutMs };
    for (;;) {
      const startMs = clockMs();
      const { period } = await this.#dispatcher.Heartbeat({ sessionId: this.#id }, options);
      this.#options.onBeat(clockMs() - startMs);
      await sleep(Math.max(durationMs(period), SESSION.heartbeatPeriodMinMs), undefined, {
        signal,
      });
    }
  }

  async #assignments(): Promise<void> {
    const call = await this.#channel.open(ASSIGNMENTS, { signal: this.#stop.signal });
    call.finish(AssignmentsRequest.encode({ sessionId: this.#id }));
    for await (const bytes of messagesOf(call)) {
      this.#options.onAssignments(bytes);
      this.#told.resolve();
    }
  }

  async #subscriptions(): Promise<void> {
    const broker = this.#channel.service('LogBroker');
    const { signal } = this.#stop;
    for await (const _ of broker.ListenSubscriptions({}, { signal })) continue;
  }
}
