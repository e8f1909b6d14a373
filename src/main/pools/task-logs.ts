/**
 * One subscription to logs, merged over the controller threads. What was taken out gives its thread
 * credit for more, so that a slow consumer holds its own readers back and nothing else.
 */
import { millisOf, timestampOf } from '../../shared/model/time.ts';
import { LogMessage, type SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';

export type TaskLogsOptions = {
  readonly message: SubscriptionMessage;
  readonly threads: number;
  /** Lets a thread send so many more bytes. */
  readonly credit: (index: number, bytes: number) => void;
  /** Called once: nothing more is wanted. */
  readonly over: () => void;
};

export class TaskLogs implements AsyncIterable<LogMessage> {
  readonly #options: TaskLogsOptions;
  /** Threads whose readers are not through. */
  readonly #open: Set<number>;
  readonly #errors: string[] = [];
  /** The newest record of each thread. */
  readonly #newest = new Map<number, Uint8Array>();
  #queue: { readonly index: number; readonly bytes: Uint8Array }[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(options: TaskLogsOptions) {
    this.#options = options;
    this.#open = new Set(Array.from({ length: options.threads }, (_, index) => index));
  }

  /** Why some logs could not be read; complete when the iteration is over. */
  get errors(): readonly string[] {
    return this.#errors;
  }

  /** Ends the subscription; an iteration ends after what has arrived. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#open.clear();
    this.#wake?.();
    this.#options.over();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<LogMessage> {
    try {
      for (;;) {
        const batch = this.#queue;
        this.#queue = [];
        for (const { index, bytes } of batch) {
          yield LogMessage.decode(bytes);
          this.#options.credit(index, bytes.length);
        }
        if (this.#queue.length > 0) continue;
        if (this.#open.size === 0) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.close();
    }
  }

  /** Records have come from a thread. */
  take(index: number, records: readonly Uint8Array[]): void {
    for (const bytes of records) {
      this.#queue.push({ index, bytes });
      this.#newest.set(index, bytes);
    }
    this.#wake?.();
  }

  threadEnded(index: number, errors: readonly string[]): void {
    this.#errors.push(...errors);
    this.#open.delete(index);
    this.#wake?.();
  }

  /** A thread has died: logs that were to be read to their end are waited for no longer. */
  threadLost(index: number): void {
    if (this.#options.message.options?.follow !== true && this.#open.has(index)) {
      this.threadEnded(index, ['a controller thread died meanwhile']);
    }
  }

  /**
   * What to ask a thread's successor for: to follow on from where the dead one was. Lines of one
   * millisecond may be lost then; none comes twice.
   */
  resumed(index: number): SubscriptionMessage | undefined {
    const { message } = this.#options;
    if (message.options?.follow !== true || !this.#open.has(index)) return undefined;
    const newest = this.#newest.get(index);
    if (newest === undefined) return message;
    const since = timestampOf(millisOf(LogMessage.decode(newest).timestamp) + 1);
    return { ...message, options: { ...message.options, since, tail: 0 } };
  }
}
