/**
 * The agent of a node: keeps a session with a manager, runs what it is assigned, and reports
 * (behaviour chapter 11). It goes on with its tasks while no manager can be reached.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Env } from '../../shared/kit/env.ts';
import type { SessionMessage } from '../../shared/wire/gen/dispatcher.ts';
import type { Node } from '../../shared/wire/gen/objects.ts';
import { NodeDescription, type NodeTLSInfo, type Peer } from '../../shared/wire/gen/types.ts';
import type { Log } from '../log.ts';
import type { StatusUpdate, TaskPool } from '../pools/tasks.ts';
import type { Channel } from '../rpc/client.ts';
import { aborted } from './aborted.ts';
import { Assignments, type Controllers } from './assignments.ts';
import type { Dependencies } from './dependencies.ts';
import { Backoff } from './core/backoff.ts';
import { REMOTES, type Remotes } from './core/remotes.ts';
import { LogPublisher } from './log-publisher.ts';
import { Reporter } from './reporter.ts';
import { Session, SESSION } from './session.ts';
import type { TaskStorage } from './task-database.ts';

/** How often the node looks whether its description has changed. */
const DESCRIBE_PERIOD_MS = 20_000;

/** What the agent needs of the controller threads. */
export type AgentControllers = Controllers & Pick<TaskPool, 'logs' | 'describe'>;

export type AgentOptions = {
  readonly env: Env;
  readonly log: Log;
  readonly database: TaskStorage;
  readonly dependencies: Dependencies;
  readonly controllers: AgentControllers;
  readonly remotes: Remotes;
  /** Instead of the executor's own; empty to keep that. */
  readonly hostname: string;
  readonly tlsInfo: () => NodeTLSInfo;
  /** Connects to a manager; on a manager's own node, to itself. */
  readonly connect: (peer: Peer | undefined) => Channel;
  /** The set of managers changed. */
  readonly onRemotes: (peers: readonly Peer[]) => Promise<void>;
  /** This node as the cluster sees it. */
  readonly onNode: (node: Node) => Promise<void>;
  readonly onRootCa: (pem: Uint8Array) => Promise<void>;
  /** First registration of this process. */
  readonly onReady: () => void;
};

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

export class Agent {
  readonly #options: AgentOptions;
  readonly #assignments: Assignments;
  readonly #reporter: Reporter;
  readonly #logs: LogPublisher;
  readonly #backoff = new Backoff();
  readonly #stop = new AbortController();
  #session: Session | undefined;
  /** Addresses of managers with which no session came to be. */
  readonly #tried = new Set<string>();
  #isReady = false;
  #sessionId = '';
  #description: Uint8Array = new Uint8Array();
  #leaving: { readonly ids: Set<string>; readonly done: () => void } | undefined;

  constructor(options: AgentOptions) {
    this.#options = options;
    const { database, dependencies, controllers, log } = options;
    this.#reporter = new Reporter((error) => this.#session?.close(asError(error)));
    this.#assignments = new Assignments(database, dependencies, controllers, (id) =>
      this.#reporter.forget(id),
    );
    this.#logs = new LogPublisher(controllers, log);
  }

  /** New statuses of this node's tasks: kept here first, then told to the manager. */
  async statuses(updates: readonly StatusUpdate[]): Promise<void> {
    await this.#options.database.setStatuses(updates);
    for (const { taskId, status } of updates) this.#reporter.report(taskId, status);
  }

  /** Nothing of these tasks is left on this machine. */
  removed(ids: readonly string[]): void {
    const leaving = this.#leaving;
    if (leaving === undefined) return;
    for (const id of ids) leaving.ids.delete(id);
    if (leaving.ids.size === 0) leaving.done();
  }

  /** Holds sessions until `stop`. */
  async run(): Promise<void> {
    const { env, log } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        await this.#runSession();
      } catch (error) {
        if (signal.aborted) break;
        log.debug({ error: asError(error).message }, 'session ended');
      }
      await sleep(this.#backoff.next(env.randBelow), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Ends the session and stops; tasks go on running. */
  stop(): void {
    const reason = new Error('the agent stops');
    this.#stop.abort(reason);
    this.#session?.close(reason);
  }

  /** The node leaves: its tasks end and are taken away. Resolves when nothing is left, or in time. */
  async leave(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const ids = new Set(this.#options.database.ids());
    this.#leaving = { ids, done: resolve };
    if (ids.size === 0) resolve();
    await this.#assignments.leave();
    const timer = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(timer);
  }

  /** The way to the managers is another from now on: the session goes on over that. */
  reconnect(): void {
    this.#session?.close(new Error('this node reaches its managers another way now'));
  }

  /** The description has to be looked at: a certificate was renewed, say. */
  refresh(): void {
    this.#redescribe().catch((error: unknown) =>
      this.#options.log.warn({ error }, 'this node could not be described'),
    );
  }

  async #describe(): Promise<NodeDescription> {
    const { controllers, hostname, tlsInfo } = this.#options;
    const described = await controllers.describe();
    return {
      ...described,
      hostname: hostname === '' ? described.hostname : hostname,
      tlsInfo: tlsInfo(),
    };
  }

  async #redescribe(): Promise<void> {
    const description = await this.#describe();
    const bytes = NodeDescription.encode(description);
    if (same(bytes, this.#description)) return;
    this.#session?.close(new Error('the description of this node has changed'));
  }

  async #runSession(): Promise<void> {
    const { remotes, connect } = this.#options;
    const peer = this.#nextManager();
    // An executor may take its time; who stops the agent does not wait for it.
    const description = await Promise.race([this.#describe(), aborted(this.#stop.signal)]);
    this.#description = NodeDescription.encode(description);
    const channel = connect(peer);
    const session = new Session(channel, this.#sessionId, {
      assignments: this.#assignments,
      logs: this.#logs,
      onMessage: (message) => this.#onMessage(message),
      onRegistered: (id, dispatcher) => {
        this.#registered(id);
        this.#reporter.open(async (updates) => {
          const request = { sessionId: id, updates };
          await dispatcher.UpdateTaskStatus(request, { timeoutMs: SESSION.heartbeatTimeoutMs });
        });
      },
    });
    this.#session = session;
    const watch = setInterval(() => this.refresh(), DESCRIBE_PERIOD_MS);
    try {
      await session.run(description);
    } finally {
      clearInterval(watch);
      this.#session = undefined;
      this.#reporter.close();
      channel.close();
      if (peer !== undefined) {
        remotes.observeIfKnown(peer.addr, REMOTES.failure);
        this.#tried.add(peer.addr);
      }
    }
  }

  /** One that was not tried since the last registration, or since all were: of three one may be left. */
  #nextManager(): Peer | undefined {
    const { remotes, env } = this.#options;
    const unit = (): number => env.randBelow(1_000_000) / 1_000_000;
    const next = remotes.select(unit, undefined, this.#tried);
    if (next !== undefined) return next;
    this.#tried.clear();
    return remotes.select(unit);
  }

  /** A session stands: everything this node knows of its tasks is told again. */
  #registered(sessionId: string): void {
    const { database, onReady } = this.#options;
    this.#sessionId = sessionId;
    this.#backoff.reset();
    this.#tried.clear();
    for (const id of database.ids()) {
      const status = database.status(id);
      if (status !== undefined) this.#reporter.report(id, status);
    }
    if (!this.#isReady) onReady();
    this.#isReady = true;
  }

  async #onMessage(message: SessionMessage): Promise<void> {
    const { remotes, onRemotes, onNode, onRootCa } = this.#options;
    const addresses = new Set<string>();
    const before = remotes.peers();
    for (const { peer, weight } of message.managers) {
      if (peer === undefined) continue;
      addresses.add(peer.addr);
      remotes.observe(peer, weight);
    }
    if (addresses.size > 0) remotes.keep(addresses);
    const after = remotes.peers();
    if (!samePeers(before, after)) await onRemotes(after);
    if (message.rootCa.length > 0) await onRootCa(message.rootCa);
    if (message.node !== undefined) await onNode(message.node);
  }
}

const asError = (error: unknown): Error =>
  error instanceof Error ? error : new Error(String(error));

const samePeers = (a: readonly Peer[], b: readonly Peer[]): boolean =>
  a.length === b.length && a.every((p, i) => p.addr === b[i]?.addr && p.nodeId === b[i]?.nodeId);
