/** Sends the logs that managers ask for, each subscription on a call of its own (behaviour 11.7). */
import type { SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';
import type { Log } from '../log.ts';
import type { TaskLogs } from '../pools/task-logs.ts';
import type { TaskPool } from '../pools/tasks.ts';
import type { ServiceClient } from '../rpc/client.ts';

type Publication = { readonly logs: TaskLogs; readonly controller: AbortController };

export class LogPublisher {
  readonly #controllers: Pick<TaskPool, 'logs'>;
  readonly #log: Log;
  readonly #running = new Map<string, Publication>();

  constructor(controllers: Pick<TaskPool, 'logs'>, log: Log) {
    this.#controllers = controllers;
    this.#log = log;
  }

  /** A subscription begins or ends; one that runs already is left alone. */
  handle(message: SubscriptionMessage, broker: ServiceClient<'LogBroker'>): void {
    if (message.close) {
      this.#running.get(message.id)?.logs.close();
      return;
    }
    if (this.#running.has(message.id)) return;
    const logs = this.#controllers.logs(message);
    const publication = { logs, controller: new AbortController() };
    this.#running.set(message.id, publication);
    this.#publish(message.id, broker, publication)
      .catch((error: unknown) => this.#log.debug({ error }, 'logs were not published'))
      .finally(() => {
        if (this.#running.get(message.id) === publication) this.#running.delete(message.id);
      });
  }

  async #publish(
    subscriptionId: string,
    broker: ServiceClient<'LogBroker'>,
    { logs, controller }: Publication,
  ): Promise<void> {
    const upload = broker.PublishLogs({ signal: controller.signal });
    for await (const record of logs) await upload.write({ subscriptionId, messages: [record] });
    for (const error of logs.errors) this.#log.warn({ error }, 'logs of a task could not be read');
    await upload.write({ subscriptionId, close: true });
    await upload.finish();
  }

  /** Ends every subscription: the session is over. The next one may bring them again. */
  stop(): void {
    for (const { logs, controller } of this.#running.values()) {
      controller.abort();
      logs.close();
    }
    this.#running.clear();
  }
}
