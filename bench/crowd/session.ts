/**
 * One session of a simulated worker: the conversations that a stock engine has with its manager, over
 * a connection of its own (behaviour rule 11.1). The first that ends, ends the session.
 */
import { SESSION } from '../../src/main/agent/session.ts';
import type { ManagerTarget } from '../../src/main/rpc/connection.ts';
import {
  AssignmentsRequest,
  HeartbeatRequest,
  HeartbeatResponse,
  SessionMessage,
} from '../../src/shared/wire/gen/dispatcher.ts';
import { SERVICES } from '../../src/shared/wire/gen/services.ts';
import { durationMs } from '../../src/shared/model/time.ts';
import { CrowdConnection, type Headers, headersOf } from './connection.ts';
import { clockMs } from './messages.ts';

/** Why everything of a session ends that was closed: made once, since thousands are in a few seconds. */
const CLOSED = new Error('the session was closed');
const LATE = new Error('the manager did not answer in time');
const REFUSED = new Error('the manager refused a call');

const { Dispatcher, LogBroker } = SERVICES;
const HEADERS = {
  session: headersOf(Dispatcher.Session),
  heartbeat: headersOf(Dispatcher.Heartbeat, SESSION.heartbeatTimeoutMs),
  assignments: headersOf(Dispatcher.Assignments),
  report: headersOf(Dispatcher.UpdateTaskStatus),
  subscriptions: headersOf(LogBroker.ListenSubscriptions),
} as const;

/** A `ListenSubscriptionsRequest`, which has no fields. */
const NO_FIELDS = new Uint8Array();

export type SessionOptions = {
  /** The same identity, as an object, for each session of a worker. */
  readonly target: ManagerTarget;
  /** Gives the `SessionRequest`, once there is a connection for it: most attempts get none. */
  readonly request: () => Uint8Array;
  /** An `AssignmentsMessage` has come; the bytes are valid until this returns. */
  readonly onAssignments: (bytes: Uint8Array) => void;
  /** A heartbeat was answered, after so long. */
  readonly onBeat: (ms: number) => void;
};

export class CrowdSession {
  readonly #options: SessionOptions;
  readonly #registered = Promise.withResolvers<void>();
  readonly #told = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<never>();
  #connection: CrowdConnection | undefined;
  /** For what is due next: the manager's answer, or the next heartbeat. */
  #timer: NodeJS.Timeout | undefined;
  #isOver = false;
  #id = '';

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#registered.promise.catch(() => undefined); // told by `ended` as well
    this.#ended.promise.catch(() => undefined);
  }

  get id(): string {
    return this.#id;
  }

  /** Registers. @throws when the manager does not answer, or too late. */
  open(): Promise<void> {
    this.#timer = setTimeout(() => this.#end(LATE), SESSION.initiationMs);
    this.#connection = new CrowdConnection(
      this.#options.target,
      () => this.#register(),
      (error) => this.#end(error),
    );
    return this.#registered.promise;
  }

  /** Resolves once the worker was told of its tasks. */
  get told(): Promise<void> {
    return this.#told.promise;
  }

  /** Rejects with why the session ended. */
  get ended(): Promise<never> {
    return this.#ended.promise;
  }

  /** Goes on after `open`. */
  run(): void {
    this.#beat();
    this.#follow(
      HEADERS.assignments,
      AssignmentsRequest.encode({ sessionId: this.#id }),
      (bytes) => {
        this.#options.onAssignments(bytes);
        this.#told.resolve();
      },
    );
    this.#follow(HEADERS.subscriptions, NO_FIELDS, () => undefined);
  }

  /** Sends an `UpdateTaskStatusRequest`. A refused one ends the session. */
  report(bytes: Uint8Array): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#ask(HEADERS.report, bytes, () => resolve(), reject);
    return promise;
  }

  /** Cuts the connection: the manager is told nothing. */
  close(): void {
    this.#end(CLOSED);
  }

  #end(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.#registered.reject(error);
    this.#ended.reject(error);
    this.#connection?.close();
  }

  #register(): void {
    this.#follow(HEADERS.session, this.#options.request(), (bytes) => {
      if (this.#id !== '') return;
      this.#id = SessionMessage.decode(bytes).sessionId;
      clearTimeout(this.#timer);
      this.#registered.resolve();
    });
  }

  #beat(): void {
    const startMs = clockMs();
    this.#timer = setTimeout(() => this.#end(LATE), SESSION.heartbeatTimeoutMs);
    this.#ask(HEADERS.heartbeat, HeartbeatRequest.encode({ sessionId: this.#id }), (bytes) => {
      clearTimeout(this.#timer);
      this.#options.onBeat(clockMs() - startMs);
      const periodMs = durationMs(HeartbeatResponse.decode(bytes).period);
      const delayMs = Math.max(periodMs, SESSION.heartbeatPeriodMinMs);
      this.#timer = setTimeout(() => this.#beat(), delayMs);
    });
  }

  /** A call with a stream of answers, whose end is the session's. */
  #follow(headers: Headers, request: Uint8Array, onMessage: (bytes: Buffer) => void): void {
    this.#connection?.call(headers, request, {
      onMessage,
      onEnd: () => this.#end(new Error('the manager ended a stream')),
    });
  }

  /** A call with one answer; without, the session ends. */
  #ask(
    headers: Headers,
    request: Uint8Array,
    onAnswer: (bytes: Buffer) => void,
    onRefused?: (error: Error) => void,
  ): void {
    let isAnswered = false;
    this.#connection?.call(headers, request, {
      onMessage: (bytes) => {
        isAnswered = true;
        onAnswer(bytes);
      },
      onEnd: () => {
        if (isAnswered) return;
        this.#end(REFUSED);
        onRefused?.(REFUSED);
      },
    });
  }
}
