/**
 * Carries the output of tasks from the nodes that run them to a client (behaviour chapter 10).
 *
 * Nodes keep a stream open on which they are told what to send; they send it on calls of their own.
 * Nothing is buffered here: a slow client slows the publishing nodes down.
 */
import { NodeStatusState } from '../../shared/wire/gen/types.ts';
import {
  SubscriptionMessage,
  type ListenSubscriptionsRequest,
  type LogSelector,
  type LogSubscriptionOptions,
  type PublishLogsMessage,
  type SubscribeLogsMessage,
  type SubscribeLogsRequest,
} from '../../shared/wire/gen/logbroker.ts';
import type { Env } from '../../shared/kit/env.ts';
import { Mark } from '../kit/mark.ts';
import type { Caller } from '../rpc/authorise.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { CallEnded } from '../rpc/live-calls.ts';
import { implement, type Implementation, type Sink } from '../rpc/service.ts';
import type { Commit, Store } from '../store/transaction.ts';
import type { TaskRow, View } from '../store/view.ts';
import { Subscription } from './core/subscription.ts';

type Reader = {
  readonly id: string;
  readonly selector: LogSelector;
  readonly options: LogSubscriptionOptions;
  readonly subscription: Subscription;
  readonly sink: Sink<SubscribeLogsMessage>;
  /** Set when something about its completion may have changed. */
  readonly mark: Mark;
};

type Listener = { readonly queue: SubscriptionMessage[]; readonly mark: Mark };

const invalid = (text: string): RpcError => new RpcError(Code.INVALID_ARGUMENT, text);
const unknown = (): RpcError => new RpcError(Code.NOT_FOUND, 'unknown subscription ID');

export class LogBroker {
  readonly implementations: readonly Implementation[];
  readonly #store: Store;
  readonly #env: Env;
  readonly #readers = new Map<string, Reader>();
  /** By node: a node that reconnects has two for a moment. */
  readonly #listeners = new Map<string, Set<Listener>>();
  #unwatch: (() => void) | undefined;

  constructor(store: Store, env: Env) {
    this.#store = store;
    this.#env = env;
    this.implementations = [
      implement('Logs', { SubscribeLogs: (request, _, sink) => this.#subscribe(request, sink) }),
      implement('LogBroker', {
        ListenSubscriptions: (request, caller, sink) => this.#listen(request, caller, sink),
        PublishLogs: (requests, caller) => this.#publish(requests, caller),
      }),
    ];
  }

  start(): void {
    this.#unwatch = this.#store.watch((commit) => this.#commit(commit));
  }

  stop(): void {
    if (this.#unwatch === undefined) return;
    this.#unwatch();
    this.#unwatch = undefined;
    const error = new RpcError(Code.ABORTED, 'broker is not running');
    for (const reader of this.#readers.values()) reader.mark.fail(error);
    for (const listeners of this.#listeners.values()) listeners.forEach((l) => l.mark.fail(error));
  }

  #running(): void {
    if (this.#unwatch === undefined) throw new RpcError(Code.ABORTED, 'broker is not running');
  }

  #tell(nodeId: string, message: SubscriptionMessage): boolean {
    const listeners = this.#listeners.get(nodeId);
    for (const listener of listeners ?? []) {
      listener.queue.push(message);
      listener.mark.set();
    }
    return listeners !== undefined;
  }

  #ask(reader: Reader, nodeId: string): void {
    const { id, selector, options } = reader;
    const told = this.#tell(nodeId, SubscriptionMessage.create({ id, selector, options }));
    if (!told) reader.subscription.miss(nodeId, 'is not available');
  }

  #consider(reader: Reader, row: TaskRow): void {
    const nodeId = reader.subscription.consider(row);
    if (nodeId !== undefined) this.#ask(reader, nodeId);
  }

  #commit(commit: Commit): void {
    if (this.#readers.size === 0) return;
    const followers = [...this.#readers.values()].filter((r) => r.subscription.follow);
    for (const change of commit.changes) {
      if (change.kind === 'task' && change.action !== 'remove') {
        for (const reader of followers) this.#consider(reader, change.object);
      }
      if (change.kind !== 'node') continue;
      const gone =
        change.action === 'remove' || change.object.status.state === NodeStatusState.DOWN;
      if (gone) this.#missed(change.object.id, 'is not available');
    }
  }

  #missed(nodeId: string, why: 'is not available' | 'disconnected unexpectedly'): void {
    for (const reader of this.#readers.values()) {
      reader.subscription.miss(nodeId, why);
      reader.mark.set();
    }
  }

  /** Every task that a selector can mean, found by index. */
  #tasks(view: View, selector: LogSelector): readonly TaskRow[] {
    return [
      ...selector.serviceIds.flatMap((id) => view.tasks.byService(id)),
      ...selector.nodeIds.flatMap((id) => view.tasks.byNode(id)),
      ...selector.taskIds.flatMap((id) => view.tasks.get(id) ?? []),
    ];
  }

  async #subscribe(request: SubscribeLogsRequest, sink: Sink<SubscribeLogsMessage>): Promise<void> {
    this.#running();
    const { selector } = request;
    if (selector === undefined) throw invalid('log selector must be provided');
    const { serviceIds, nodeIds, taskIds } = selector;
    if (serviceIds.length + nodeIds.length + taskIds.length === 0) {
      throw invalid('log selector must not be empty');
    }
    const options = request.options ?? { streams: [], follow: false, tail: 0, since: undefined };
    const subscription = new Subscription(selector, options.follow);
    const id = this.#env.newId();
    const reader: Reader = { id, selector, options, subscription, sink, mark: new Mark() };
    this.#readers.set(id, reader);
    try {
      for (const nodeId of nodeIds) if (subscription.ask(nodeId)) this.#ask(reader, nodeId);
      this.#store.view((view) => {
        for (const row of this.#tasks(view, selector)) this.#consider(reader, row);
      });
      while (!subscription.complete) await reader.mark.next(sink.signal);
      if (subscription.warning !== undefined)
        throw new RpcError(Code.UNKNOWN, subscription.warning);
    } finally {
      this.#readers.delete(id);
      const close = SubscriptionMessage.create({ id, selector, options, close: true });
      for (const nodeId of subscription.nodes) this.#tell(nodeId, close);
    }
  }

  async #listen(
    _request: ListenSubscriptionsRequest,
    caller: Caller,
    sink: Sink<SubscriptionMessage>,
  ): Promise<void> {
    this.#running();
    const { nodeId } = caller;
    const listener: Listener = { queue: [], mark: new Mark() };
    const listeners = this.#listeners.get(nodeId) ?? new Set();
    this.#listeners.set(nodeId, listeners.add(listener));
    for (const { id, selector, options, subscription } of this.#readers.values()) {
      if (!subscription.concerns(nodeId)) continue;
      listener.queue.push(SubscriptionMessage.create({ id, selector, options }));
    }
    if (listener.queue.length > 0) listener.mark.set();
    try {
      for (;;) {
        await listener.mark.next(sink.signal);
        for (const message of listener.queue.splice(0)) await sink.write(message);
      }
    } finally {
      listeners.delete(listener);
      if (listeners.size === 0) {
        this.#listeners.delete(nodeId);
        this.#missed(nodeId, 'disconnected unexpectedly');
      }
    }
  }

  /** Checks one message against the call's first one, and gives its reader. */
  #reader(message: PublishLogsMessage, first: string | undefined): Reader {
    if (message.subscriptionId === '') throw invalid('missing subscription ID');
    if (first !== undefined && message.subscriptionId !== first) {
      throw invalid('different subscription IDs in the same session');
    }
    const reader = this.#readers.get(message.subscriptionId);
    if (reader === undefined) throw unknown();
    return reader;
  }

  /** Resolves when the client has room for more. */
  async #pass(reader: Reader, { messages }: PublishLogsMessage): Promise<void> {
    try {
      await reader.sink.write({ messages });
    } catch (error) {
      if (error instanceof CallEnded) throw unknown(); // the client is gone meanwhile
      throw error;
    }
  }

  async #publish(requests: AsyncIterable<PublishLogsMessage>, caller: Caller): Promise<undefined> {
    this.#running();
    let reader: Reader | undefined;
    let closed = false;
    try {
      for await (const message of requests) {
        reader = this.#reader(message, reader?.id);
        if (message.close) {
          closed = true;
          break;
        }
        const foreign = message.messages.find((m) => m.context.nodeId !== caller.nodeId);
        if (foreign !== undefined) {
          const text = `invalid NodeID: expected=${caller.nodeId};received=${foreign.context.nodeId}`;
          throw new RpcError(Code.PERMISSION_DENIED, text);
        }
        await this.#pass(reader, message);
      }
    } finally {
      if (closed) reader?.subscription.finish(caller.nodeId);
      else reader?.subscription.miss(caller.nodeId, 'disconnected unexpectedly');
      reader?.mark.set();
    }
    return undefined;
  }
}
