/** Sends the logs that managers ask for, each subscription on a call of its own (behaviour 11.7). */
import type { SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';
import { Writer } from '../../shared/wire/runtime.ts';
import type { Log } from '../log.ts';
import type { ServiceClient } from '../rpc/client.ts';
import { Encoded } from '../rpc/service.ts';
import type { TaskRunner } from './task-runner.ts';

const TAG = { subscriptionId: (1 << 3) | 2, messages: (2 << 3) | 2 } as const;

const writer = new Writer(4096);

/** `PublishLogsMessage` around records that are encoded already. */
function publishMessage(subscriptionId: string, records: readonly Uint8Array[]): Encoded {
  for (const record of records.toReversed()) {
    writer.bytes(record);
    writer.varint(TAG.messages);
  }
  writer.string(subscriptionId);
  writer.varint(TAG.subscriptionId);
  return new Encoded(writer.finish());
}

export class LogPublisher {
  readonly #runner: TaskRunner;
  readonly #log: Log;
  readonly #running = new Map<string, AbortController>();

  constructor(runner: TaskRunner, log: Log) {
    this.#runner = runner;
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
    const write = (records: readonly Uint8Array[]): Promise<void> =>
      upload.write(publishMessage(message.id, records));
    const errors = await this.#runner.readLogs(message, signal, write);
    for (const error of errors) this.#log.warn({ error }, 'logs of a task could not be read');
    await upload.write({ subscriptionId: message.id, close: true });
    await upload.finish();
  }

  /** Ends every subscription: the session is over. */
  stop(): void {
    for (const controller of this.#running.values()) controller.abort();
  }
}
