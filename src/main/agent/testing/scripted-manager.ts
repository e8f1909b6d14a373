/** A manager on a real listener that answers agents only as the test says. */
import type {
  AssignmentsMessage,
  SessionMessage,
  SessionRequest,
  UpdateTaskStatusRequest,
} from '../../../shared/wire/gen/dispatcher.ts';
import {
  AssignmentsMessage as AssignmentsCodec,
  SessionMessage as SessionCodec,
  TasksMessage as TasksCodec,
} from '../../../shared/wire/gen/dispatcher.ts';
import {
  type PublishLogsMessage,
  SubscriptionMessage as SubscriptionCodec,
} from '../../../shared/wire/gen/logbroker.ts';
import type { Codec, Init } from '../../../shared/wire/runtime.ts';
import type { TestCluster } from '../../ca/testing/identities.ts';
import { silentLog } from '../../log.ts';
import { Role } from '../../rpc/authorise.ts';
import { type Listener, listenTcp } from '../../rpc/listener.ts';
import { implement, type Sink } from '../../rpc/service.ts';

/** Things that come one after the other, taken by whoever waits. */
export class Arrivals<T> {
  readonly #here: T[] = [];
  readonly #waiting: ((item: T) => void)[] = [];

  push(item: T): void {
    const waiter = this.#waiting.shift();
    if (waiter === undefined) this.#here.push(item);
    else waiter(item);
  }

  get size(): number {
    return this.#here.length;
  }

  next(): Promise<T> {
    const item = this.#here.shift();
    if (item !== undefined) return Promise.resolve(item);
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }
}

/** A server stream that an agent has opened. */
export class OpenStream<Request, T> {
  readonly request: Request;
  readonly #sink: Sink<T>;
  readonly #codec: Codec<T>;
  readonly #end = Promise.withResolvers<void>();
  /** Resolves when the agent is gone or the test has ended the stream. */
  readonly over: Promise<void>;

  constructor(request: Request, sink: Sink<T>, codec: Codec<T>) {
    this.request = request;
    this.#sink = sink;
    this.#codec = codec;
    const { promise, resolve } = Promise.withResolvers<void>();
    sink.signal.addEventListener('abort', () => resolve(), { once: true });
    this.over = Promise.race([promise, this.#end.promise]);
    this.over.catch(() => undefined);
  }

  send(init: Init<T>): Promise<void> {
    return this.#sink.write(this.#codec.create(init));
  }

  end(): void {
    this.#end.resolve();
  }

  fail(error: Error): void {
    this.#end.reject(error);
  }
}

type SessionStream = OpenStream<SessionRequest, SessionMessage>;

export class ScriptedManager implements AsyncDisposable {
  readonly sessions = new Arrivals<SessionStream>();
  readonly assignments = new Arrivals<OpenStream<unknown, AssignmentsMessage>>();
  readonly taskLists = new Arrivals<OpenStream<unknown, TasksCodec>>();
  readonly listeners = new Arrivals<OpenStream<unknown, SubscriptionCodec>>();
  readonly reports = new Arrivals<UpdateTaskStatusRequest>();
  readonly published = new Arrivals<PublishLogsMessage>();
  readonly beats: string[] = [];
  /** Runs on each report, before it is answered. */
  onReport: () => void = () => undefined;
  #listener: Listener | undefined;

  /** Which methods it has; an old manager has no `Assignments` and no log broker. */
  static async start(
    cluster: TestCluster,
    nodeId: string,
    { old = false } = {},
  ): Promise<ScriptedManager> {
    const manager = new ScriptedManager();
    manager.#listener = await listenTcp({
      host: '127.0.0.1',
      port: 0,
      credentials: await cluster.member(nodeId, Role.MANAGER),
      policy: { organization: cluster.organization, isRemoved: () => false },
      services: manager.#services(old),
      log: silentLog,
    });
    return manager;
  }

  get address(): string {
    return this.#listener?.address ?? '';
  }

  #services(old: boolean) {
    const dispatcher = {
      Session: async (request: SessionRequest, _: unknown, sink: Sink<SessionMessage>) => {
        const stream = new OpenStream(request, sink, SessionCodec);
        this.sessions.push(stream);
        await stream.over;
      },
      Heartbeat: ({ sessionId }: { readonly sessionId: string }) => {
        this.beats.push(sessionId);
        return { period: { seconds: 60, nanos: 0 } };
      },
      UpdateTaskStatus: (request: UpdateTaskStatusRequest) => {
        this.reports.push(request);
        this.onReport();
        return {};
      },
    };
    if (old) {
      const Tasks = async (request: unknown, _: unknown, sink: Sink<TasksCodec>): Promise<void> => {
        const stream = new OpenStream(request, sink, TasksCodec);
        this.taskLists.push(stream);
        await stream.over;
      };
      return [implement('Dispatcher', { ...dispatcher, Tasks })];
    }
    return [
      implement('Dispatcher', {
        ...dispatcher,
        Assignments: async (request, _, sink) => {
          const stream = new OpenStream(request, sink, AssignmentsCodec);
          this.assignments.push(stream);
          await stream.over;
        },
      }),
      implement('LogBroker', {
        ListenSubscriptions: async (request, _, sink) => {
          const stream = new OpenStream(request, sink, SubscriptionCodec);
          this.listeners.push(stream);
          await stream.over;
        },
        PublishLogs: async (requests) => {
          for await (const message of requests) {
            this.published.push(message);
            if (message.close) break;
          }
          return undefined;
        },
      }),
    ];
  }

  /** Takes the next session and answers it. */
  async accept(init: Init<SessionMessage> = {}): Promise<SessionStream> {
    const session = await this.sessions.next();
    await session.send({ sessionId: 'session1', ...init });
    return session;
  }

  /** Is gone: no connection, no answer. */
  async stop(): Promise<void> {
    await this.#listener?.stop(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}
