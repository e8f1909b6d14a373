/**
 * One session with a manager: the four conversations that run side by side (behaviour rule 11.1). The
 * first that ends, ends the session; the agent then opens another.
 */
import { durationMs } from '../../shared/model/time.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { AssignmentsMessage, type SessionMessage } from '../../shared/wire/gen/dispatcher.ts';
import type { Task } from '../../shared/wire/gen/objects.ts';
import type { NodeDescription } from '../../shared/wire/gen/types.ts';
import type { Channel, ServiceClient } from '../rpc/client.ts';
import { Code, hasCode } from '../rpc/errors.ts';
import { aborted } from './aborted.ts';
import { AssignmentGap, type Assignments } from './assignments.ts';
import type { LogPublisher } from './log-publisher.ts';

export const SESSION = {
  initiationMs: 5000,
  heartbeatTimeoutMs: 5000,
  /** A manager that names no period, or hardly any, is not asked more often than this. */
  heartbeatPeriodMinMs: 100,
} as const;

/** A list of all tasks, as assignments say it. */
const completeSet = (tasks: readonly Task[]): AssignmentsMessage =>
  AssignmentsMessage.create({
    changes: tasks.map((value) => ({ assignment: { item: { case: 'task', value } } })),
  });

export type SessionParts = {
  readonly assignments: Assignments;
  readonly logs: LogPublisher;
  /** Hears every session message, the first one included. */
  readonly onMessage: (message: SessionMessage) => Promise<void>;
  /** The manager has answered: this node is registered. */
  readonly onRegistered: (sessionId: string, dispatcher: ServiceClient<'Dispatcher'>) => void;
};

export class Session {
  readonly #channel: Channel;
  readonly #parts: SessionParts;
  readonly #controller = new AbortController();
  #id: string;

  /** `id` of the session before, or empty. */
  constructor(channel: Channel, id: string, parts: SessionParts) {
    this.#channel = channel;
    this.#id = id;
    this.#parts = parts;
  }

  get id(): string {
    return this.#id;
  }

  /** Ends the session from outside; `run` then rejects with `reason`. */
  close(reason: Error): void {
    this.#controller.abort(reason);
  }

  /** Runs the session to its end, which is always an error: why it ended. */
  async run(description: NodeDescription): Promise<never> {
    const { signal } = this.#controller;
    const dispatcher = this.#channel.service('Dispatcher');
    const stream = dispatcher.Session({ description, sessionId: this.#id }, { signal });
    const messages = stream[Symbol.asyncIterator]();
    try {
      await this.#first(messages);
      this.#parts.onRegistered(this.#id, dispatcher);
      await Promise.race([
        this.#heartbeats(dispatcher),
        this.#assignments(dispatcher),
        this.#messages(messages),
        this.#subscriptions(),
        aborted(signal),
      ]);
      throw new Error('the manager ended the session');
    } finally {
      this.#controller.abort(new Error('the session is over'));
      this.#parts.logs.stop();
    }
  }

  async #first(messages: AsyncIterator<SessionMessage>): Promise<void> {
    const { signal } = this.#controller;
    const timer = setTimeout(
      () => this.close(new Error('session initiation timed out')),
      SESSION.initiationMs,
    );
    try {
      const { value, done } = await Promise.race([messages.next(), aborted(signal)]);
      if (done === true) throw new Error('the manager ended the session');
      this.#id = value.sessionId;
      await this.#parts.onMessage(value);
    } finally {
      clearTimeout(timer);
    }
  }

  async #messages(messages: AsyncIterator<SessionMessage>): Promise<void> {
    for (;;) {
      const { value, done } = await messages.next();
      if (done === true) return;
      await this.#parts.onMessage(value);
    }
  }

  async #heartbeats(dispatcher: ServiceClient<'Dispatcher'>): Promise<void> {
    const { signal } = this.#controller;
    for (;;) {
      const request = { sessionId: this.#id };
      const options = { signal, timeoutMs: SESSION.heartbeatTimeoutMs };
      const { period } = await dispatcher.Heartbeat(request, options);
      const periodMs = Math.max(durationMs(period), SESSION.heartbeatPeriodMinMs);
      await sleep(periodMs, undefined, { signal });
    }
  }

  /** Follows the assignments; after a gap from the start again. Old managers only know task lists. */
  async #assignments(dispatcher: ServiceClient<'Dispatcher'>): Promise<void> {
    try {
      while ((await this.#follow(dispatcher)) === 'gap') continue;
    } catch (error) {
      if (!hasCode(error, Code.UNIMPLEMENTED)) throw error;
      await this.#taskLists(dispatcher);
    }
  }

  async #follow(dispatcher: ServiceClient<'Dispatcher'>): Promise<'gap' | 'end'> {
    const { signal } = this.#controller;
    const { assignments } = this.#parts;
    assignments.open();
    let applied = 0;
    try {
      for await (const message of dispatcher.Assignments({ sessionId: this.#id }, { signal })) {
        await assignments.apply(message);
        applied += 1;
      }
      return 'end';
    } catch (error) {
      // A stream that begins with a gap would do so again at once: that ends the session.
      if (!(error instanceof AssignmentGap) || applied === 0) throw error;
      return 'gap';
    }
  }

  async #taskLists(dispatcher: ServiceClient<'Dispatcher'>): Promise<void> {
    const { signal } = this.#controller;
    for await (const { tasks } of dispatcher.Tasks({ sessionId: this.#id }, { signal })) {
      this.#parts.assignments.open();
      await this.#parts.assignments.apply(completeSet(tasks));
    }
  }

  /** Old managers have no log broker: then nothing is asked. */
  async #subscriptions(): Promise<void> {
    const { signal } = this.#controller;
    const broker = this.#channel.service('LogBroker');
    try {
      for await (const message of broker.ListenSubscriptions({}, { signal })) {
        this.#parts.logs.handle(message, broker);
      }
    } catch (error) {
      if (!hasCode(error, Code.UNIMPLEMENTED)) throw error;
      await aborted(signal);
    }
  }
}
