/**
 * One simulated worker, as light as it can be: a real identity, sessions one after the other, and tasks
 * that are nothing but their state. What it costs is what it takes from the manager that is measured
 * beside it.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Backoff } from '../../src/main/agent/core/backoff.ts';
import { realEnv } from '../../src/main/env.ts';
import type { Pace } from '../../src/main/dispatcher/pace.ts';
import type { Credentials } from '../../src/main/rpc/listener.ts';
import { SessionRequest } from '../../src/shared/wire/gen/dispatcher.ts';
import { NodeDescription, TaskState } from '../../src/shared/wire/gen/types.ts';
import type { ReportMode } from './messages.ts';
import { Reports } from './reports.ts';
import { CrowdSession } from './session.ts';
import type { Tally } from './tally.ts';
import { readAssignments } from './wire.ts';

export type WorkerOptions = {
  /** `host:port`. */
  readonly address: string;
  readonly credentials: Credentials;
  readonly hostname: string;
  readonly report: ReportMode;
  /** Whether it opens another session when one ends. */
  readonly returns: boolean;
  readonly tally: Tally;
  /**
   * The line of all workers of this process for beginning a session. An engine has a processor of its
   * own: what one of thousands has to answer must not wait until others have begun, or all give up on
   * each other's account, and the next attempts come on top.
   */
  readonly pace: Pace;
  /** The session of a worker that does not return has ended, which it never should by itself. */
  readonly onError: (error: unknown) => void;
};

const descriptionOf = (hostname: string): NodeDescription =>
  NodeDescription.create({
    hostname,
    platform: { os: 'linux', architecture: 'x86_64' },
    resources: { nanoCpus: 64e9, memoryBytes: 256 * 2 ** 30 },
    engine: {
      engineVersion: '20.10.24',
      plugins: [
        { type: 'Network', name: 'overlay' },
        { type: 'Network', name: 'host' },
      ],
    },
  });

export class CrowdWorker {
  readonly #options: WorkerOptions;
  readonly #description: NodeDescription;
  readonly #reports: Reports;
  readonly #stop = new AbortController();
  readonly #backoff = new Backoff();
  #session: CrowdSession | undefined;
  #sessionId = '';

  private constructor(options: WorkerOptions) {
    const { tally } = options;
    this.#options = options;
    this.#description = descriptionOf(options.hostname);
    this.#reports = new Reports({
      mode: options.report,
      onCall: () => tally.called(),
      onState: (state) => {
        if (state === TaskState.RUNNING) tally.running();
        else if (state > TaskState.RUNNING) tally.ended();
      },
    });
  }

  /** Resolves once the worker is registered and told of its tasks. */
  static async start(options: WorkerOptions): Promise<CrowdWorker> {
    const worker = new CrowdWorker(options);
    const ended = await worker.#open();
    void worker.#follow(ended);
    return worker;
  }

  set mode(mode: ReportMode) {
    this.#reports.mode = mode;
  }

  /** So many running tasks exit with an error; returns how many there were to. */
  fail(count: number): number {
    return this.#reports.fail(count);
  }

  /** Cuts the connection: the manager hears nothing more, and is told nothing. */
  stop(): void {
    this.#stop.abort();
    this.#session?.close();
    this.#reports.close();
    this.#options.tally.dropped(this.#reports.tasks.size, 0);
    this.#reports.tasks.clear();
  }

  #request(): Uint8Array {
    const sessionId = this.#sessionId;
    return SessionRequest.encode({ description: this.#description, sessionId });
  }

  /** Opens a session; the promise within tells why it ended. */
  async #open(): Promise<{ readonly ended: Promise<never> }> {
    const { address, credentials, tally, pace } = this.#options;
    await pace.turn();
    this.#stop.signal.throwIfAborted();
    const session = new CrowdSession({
      target: { to: 'manager', address, rootPem: credentials.rootPem, identity: credentials },
      request: () => this.#request(),
      onAssignments: (bytes) => this.#apply(bytes),
      onBeat: (ms) => tally.beat(ms),
    });
    this.#session = session;
    tally.tried();
    try {
      await session.open();
      this.#sessionId = session.id;
      this.#backoff.reset();
      this.#reports.open(session);
      session.run();
      const { ended } = session;
      await Promise.race([session.told, ended]);
      tally.opened();
      void ended.catch(() => tally.closed());
      return { ended };
    } catch (error) {
      session.close();
      throw error;
    }
  }

  /** Waits for the end of the session, and opens others as often as it takes. */
  async #follow(first: { readonly ended: Promise<never> }): Promise<void> {
    const { returns, onError } = this.#options;
    const { signal } = this.#stop;
    let session: { readonly ended: Promise<never> } | undefined = first;
    while (!signal.aborted) {
      try {
        session ??= await this.#open();
        await session.ended;
      } catch (error) {
        this.#reports.close();
        if (signal.aborted) return;
        if (!returns) {
          this.stop();
          return onError(error);
        }
      }
      session = undefined;
      const delayMs = this.#backoff.next(realEnv.randBelow);
      await sleep(delayMs, undefined, { signal }).catch(() => undefined);
    }
  }

  #apply(bytes: Uint8Array): void {
    const { tally } = this.#options;
    const { tasks } = this.#reports;
    const { complete, tasks: changes } = readAssignments(bytes);
    if (complete) this.#keepOnly(new Set(changes.map(({ id }) => id)));
    for (const { id, desired } of changes) {
      if (desired === TaskState.NEW) {
        if (tasks.delete(id)) tally.dropped(1, 1);
        continue;
      }
      if (!tasks.has(id)) tally.assigned();
      this.#reports.want(id, desired);
    }
  }

  #keepOnly(ids: ReadonlySet<string>): void {
    const { tasks } = this.#reports;
    for (const id of tasks.keys()) {
      if (!ids.has(id) && tasks.delete(id)) this.#options.tally.dropped(1, 1);
    }
  }
}
