/** Sends the logs that managers ask for, each subscription on a call of its own (behaviour 11.7). */
import type { SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';
import type { Log } from '../log.ts';
import type { TaskPool } from '../pools/tasks.ts';
import type { ServiceClient } from '../rpc/client.ts';

export class LogPublisher {
  readonly #controllers: Pick<TaskPool, 'logs'>;
  readonly #log: Log;
  readonly #running = new Map<string, AbortController>();

  constructor(controllers: Pick<TaskPool, 'logs'>, log: Log) {
    this.#controllers = controllers;
    this.#log = log;
  }

  /** A subscription begins or ends; one that runs already is left alone. */
  handle(message: SubscriptionMessage, broker: ServiceClient<'LogBroker'>): void {
    if (message.close) {
      this.#running.get(message.id)?.abort();
      return;
    }
    if (this.#running.has(message.id)) return;
    const controller = new AbortController();
    this.#running.set(message.id, controller);
    this.#publish(message, broker, controller.signal)
      .catch((error: unknown) => this.#log.debug({ error }, 'logs were not published'))
      .finally(() => this.#running.delete(message.id));
  }

  async #publish(
    message: SubscriptionMessage,
    broker: ServiceClient<'LogBroker'>,
    signal: AbortSignal,
  ): Promise<void> {
    const upload = broker.PublishLogs({ signal });
    const logs = this.#controllers.logs(message);
    const close = (): void => logs.close();
    signal.addEventListener('abort', close, { once: true });
    for await (const record of logs) {
      await upload.write({ subscriptionId: message.id, messages: [record] });
    }
    signal.removeEventListener('abort', close);
    for (const error of logs.errors) this.#log.warn({ error }, 'logs of a task could not be read');
    await upload.write({ subscriptionId: message.id, close: true });
    await upload.finish();
  }

  /** Ends every subscription: the session is over. */
  stop(): void {
    for (const controller of this.#running.values()) controller.abort();
  }
}
