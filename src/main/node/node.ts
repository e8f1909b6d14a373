/**
 * A node: its identity, its agent, and on a manager also the manager (behaviour chapter 12).
 *
 * `start` brings it up: with an identity on its disk it goes on as who it is; without one it joins the
 * cluster that `join` names, or founds one.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Env } from '../../shared/kit/env.ts';
import type { Node as NodeObject } from '../../shared/wire/gen/objects.ts';
import type { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { IssuanceStatusState, Peer } from '../../shared/wire/gen/types.ts';
import type { ExecutorChoice } from '../../shared/lanes/tasks.ts';
import { Agent, type AgentControllers } from '../agent/agent.ts';
import { Dependencies } from '../agent/dependencies.ts';
import { Remotes } from '../agent/core/remotes.ts';
import { noControllers } from '../agent/no-controllers.ts';
import { TaskDatabase } from '../agent/task-database.ts';
import { foundCluster, joinCluster } from '../ca/bootstrap.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { Renewer } from '../ca/renewer.ts';
import type { RootCa } from '../ca/root.ts';
import { loadSecurityContext, type SecurityContext } from '../ca/security-context.ts';
import type { Log } from '../log.ts';
import { Manager } from '../manager/manager.ts';
import { TaskPool, type StatusUpdate } from '../pools/tasks.ts';
import { LmdbLog } from '../raft/log/lmdb-log.ts';
import { Role } from '../rpc/authorise.ts';
import { Channel, type ChannelTarget } from '../rpc/client.ts';
import {
  dataKeyOf,
  foundedHeaders,
  isFounded,
  isJoining,
  newDataKeyHeaders,
  newJoiningHeaders,
} from './data-key.ts';
import { type NodeOffer, withOffer } from './offer.ts';
import { readPeers, writePeers } from './peers-file.ts';

/** The raft log of a manager is gone, and with it the cluster as this manager knew it. */
export class LogLostError extends Error {
  override readonly name = 'LogLostError';

  constructor(directory: string) {
    super(
      `${directory} held the log of this manager and is empty now: put it back from a copy, ` +
        'or start with a new --state-dir to found another cluster',
    );
  }
}

export type HostPort = { readonly host: string; readonly port: number };

export type NodeOptions = {
  readonly stateDir: string;
  /** Empty: the machine's own. */
  readonly hostname: string;
  readonly join: { readonly address: string; readonly token: string } | undefined;
  /** Of a new node. */
  readonly availability: NodeSpecAvailability;
  /** Where tasks run; undefined on a manager that runs none. */
  readonly executor: ExecutorChoice | undefined;
  readonly taskThreads: number;
  /** What the operator says of this node, beside what its machine has. */
  readonly offer?: NodeOffer;
  /** For the first manager, and for a manager that starts again. */
  readonly manager: {
    readonly listen: HostPort;
    readonly advertise: HostPort;
    readonly controlSocket: string;
    readonly tickMs: number;
    /** In ticks; those of the raft core when not given. */
    readonly raft?: { readonly heartbeatTicks: number; readonly electionTicks: number };
  };
  readonly env: Env;
  readonly log: Log;
  readonly onFatal: (error: unknown) => void;
};

/** How long a leaving node waits for its tasks to end. */
const LEAVE_TIMEOUT_MS = 30_000;

/** What a manager starts with: `founded` or `joins` when its log was empty. */
type OpenLog = {
  readonly log: LmdbLog;
  readonly founded?: Founded;
  readonly joins?: string;
};

type Founded = { readonly root: RootCa; readonly availability: NodeSpecAvailability };

export class Node {
  readonly #options: NodeOptions;
  readonly #keys: KeyFiles;
  readonly #remotes: Remotes;
  readonly #stopping = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  #security: SecurityContext | undefined;
  #manager: Manager | undefined;
  #agent: Agent | undefined;
  #controllers: TaskPool | undefined;
  #running: Promise<void> = Promise.resolve();
  #stops: (() => Promise<void> | void)[] = [];

  private constructor(options: NodeOptions, remotes: Remotes) {
    this.#options = options;
    this.#remotes = remotes;
    this.#keys = new KeyFiles(join(options.stateDir, 'certificates'));
  }

  /** Brings the node up; resolves when it serves (manager) and runs (agent), if not yet registered. */
  static async start(options: NodeOptions): Promise<Node> {
    const { stateDir } = options;
    await mkdir(join(stateDir, 'worker'), { recursive: true, mode: 0o700 });
    const known = await readPeers(stateDir);
    const joined = options.join && [Peer.create({ addr: options.join.address })];
    const node = new Node(options, new Remotes(known.length > 0 ? known : joined));
    try {
      await node.#start();
    } catch (error) {
      await node.stop();
      throw error;
    }
    return node;
  }

  get nodeId(): string {
    return this.#identity.identity.nodeId;
  }

  /** Present on a manager. */
  get manager(): Manager | undefined {
    return this.#manager;
  }

  /** What feeds the controller threads, where tasks run: for counters, and for tests that kill them. */
  get controllers(): TaskPool | undefined {
    return this.#controllers;
  }

  /** Resolves when the agent has registered for the first time. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  get #identity(): SecurityContext {
    if (this.#security === undefined) throw new Error('the node has no identity yet');
    return this.#security;
  }

  async #start(): Promise<void> {
    const { env } = this.#options;
    this.#security = await loadSecurityContext(this.#keys, env.nowMs());
    if (this.#security === undefined && this.#options.join !== undefined) {
      this.#security = await this.#join(this.#options.join);
    }
    if (this.#security === undefined || this.#security.identity.role === Role.MANAGER) {
      await this.#startManager();
    }
    this.#startRenewer();
    await this.#startAgent();
  }

  async #join({ address, token }: NonNullable<NodeOptions['join']>): Promise<SecurityContext> {
    const { env, log, availability } = this.#options;
    const { signal } = this.#stopping;
    return joinCluster({
      store: this.#keys,
      address,
      token,
      availability,
      managerHeaders: newJoiningHeaders(),
      env,
      log,
      signal,
    });
  }

  /**
   * Opens the log of this manager. An empty one is filled by the managers that this one joins, or
   * founded, with a new identity.
   */
  async #openLog(): Promise<OpenLog> {
    const directory = join(this.#options.stateDir, 'raft');
    const stored = await this.#keys.load();
    const dataKey = dataKeyOf(stored?.headers ?? {});
    if (dataKey !== undefined) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const log = new LmdbLog(directory, dataKey);
      if (log.member() !== undefined) return { log };
      if (isJoining(stored?.headers ?? {})) return { log, joins: this.#joinAddress() };
      await log[Symbol.asyncDispose]();
      if (isFounded(stored?.headers ?? {})) throw new LogLostError(directory);
    } else if (stored !== undefined) {
      throw new Error(`the node key in ${this.#options.stateDir} lacks the key of the raft log`);
    }
    return this.#found(directory);
  }

  /** Some manager of the cluster: the one that was named, or one that this node knows. */
  #joinAddress(): string {
    const { join: named, env } = this.#options;
    const address = named?.address ?? this.#remotes.select(() => env.randBelow(1e6) / 1e6)?.addr;
    if (address === undefined) throw new Error('no remote hosts provided');
    return address;
  }

  /**
   * Founds a cluster. It exists once the log knows its member; whatever an earlier attempt has left
   * was acknowledged to nobody, and an old certificate would not fit beside the new root.
   */
  async #found(directory: string): Promise<OpenLog> {
    const { env, availability, stateDir } = this.#options;
    for (const leftover of [directory, join(stateDir, 'certificates')]) {
      await rm(leftover, { recursive: true, force: true });
    }
    await mkdir(directory, { recursive: true, mode: 0o700 });
    // The log's key comes with the identity: one without the other would be of no use.
    const headers = newDataKeyHeaders();
    const { security, root } = await foundCluster(this.#keys, env, headers);
    this.#security = security;
    const log = new LmdbLog(directory, dataKeyOf(headers) ?? new Uint8Array());
    return { log, founded: { root, availability } };
  }

  async #startManager(): Promise<void> {
    const { log: raftLog, founded, joins } = await this.#openLog();
    const { env, log, manager, onFatal } = this.#options;
    this.#manager = await Manager.open({
      security: this.#identity,
      raftLog,
      founds: founded,
      joins,
      ...manager,
      env,
      log,
      onFatal,
    });
    const running = this.#manager;
    this.#stops.push(() => running.stop());
    if (joins === undefined) await this.#markFounded();
    await running.start();
    if (joins !== undefined) await this.#markFounded();
    this.#remotes.keep(new Set());
    this.#remotes.observe(Peer.create({ nodeId: this.nodeId, addr: running.address }), 10);
  }

  /** From now on an empty log is a lost one, and no reason to found a cluster anew. */
  async #markFounded(): Promise<void> {
    const stored = await this.#keys.load();
    if (stored === undefined || isFounded(stored.headers)) return;
    const { certificatePem, keyPem, headers } = stored;
    await this.#keys.save(certificatePem, keyPem, foundedHeaders(headers));
  }

  /** How to reach a manager: this node's own by its socket, others by their address. */
  #target(peer: Peer | undefined): ChannelTarget {
    if (this.#manager !== undefined) {
      return { to: 'socket', path: this.#options.manager.controlSocket };
    }
    if (peer === undefined) throw new Error('no remote hosts provided');
    const { rootPem, ...identity } = this.#identity.credentials;
    return { to: 'manager', address: peer.addr, rootPem, identity };
  }

  #startRenewer(): void {
    const { env, log } = this.#options;
    const approach = (): ChannelTarget =>
      this.#target(this.#remotes.select(() => env.randBelow(1_000_000) / 1_000_000));
    const renewer = new Renewer({ security: this.#identity, approach, env, log });
    renewer.start();
    this.#renew = () => renewer.force();
    this.#stops.push(() => renewer.stop());
    this.#stops.push(this.#identity.watch(() => this.#agent?.refresh()));
  }

  #renew: () => void = () => undefined;

  async #startAgent(): Promise<void> {
    const { stateDir, hostname, env, log } = this.#options;
    const database = new TaskDatabase(join(stateDir, 'worker'));
    this.#stops.push(() => database[Symbol.asyncDispose]());
    const dependencies = new Dependencies();
    const controllers = await this.#startControllers(database, dependencies);
    const agent = new Agent({
      env,
      log,
      database,
      dependencies,
      controllers,
      remotes: this.#remotes,
      hostname,
      tlsInfo: () => this.#identity.identity.tlsInfo,
      connect: (peer) => new Channel(this.#target(peer)),
      onRemotes: (peers) => writePeers(stateDir, peers),
      onNode: async (node) => this.#onNode(node),
      onRootCa: (pem) => this.#onRootCa(pem),
      onReady: () => {
        log.info({ node: this.nodeId }, 'node is ready');
        this.#ready.resolve();
      },
    });
    this.#agent = agent;
    this.#running = agent.run();
    this.#stops.push(async () => {
      agent.stop();
      await this.#running;
    });
  }

  async #startControllers(
    database: TaskDatabase,
    dependencies: Dependencies,
  ): Promise<AgentControllers> {
    const { hostname, executor, taskThreads, env, log } = this.#options;
    const events = {
      onStatuses: (updates: readonly StatusUpdate[]) => this.#agent?.statuses(updates),
      onRemoved: (ids: readonly string[]) => this.#agent?.removed(ids),
    };
    if (executor === undefined) return noControllers({ env, ...events });
    const pool = new TaskPool({
      nodeId: this.nodeId,
      hostname,
      executor,
      threads: taskThreads,
      log,
      source: {
        tasks: () => database.all(),
        secrets: () => dependencies.secrets(),
        configs: () => dependencies.configs(),
      },
      ...events,
    });
    this.#controllers = pool;
    await pool.start();
    this.#stops.push(() => pool.stop());
    const { offer } = this.#options;
    return offer === undefined ? pool : withOffer(pool, offer);
  }

  /** The cluster wants this node's certificate renewed. */
  #onNode(node: NodeObject): void {
    if (node.certificate.status.state === IssuanceStatusState.ROTATE) this.#renew();
  }

  async #onRootCa(pem: Uint8Array): Promise<void> {
    const { env, log } = this.#options;
    try {
      await this.#identity.trust(Buffer.from(pem).toString(), env.nowMs());
    } catch (error) {
      log.warn({ error }, 'a manager sent a root that this node cannot trust');
    }
  }

  /** Ends this node's tasks, then stops. */
  async leave(): Promise<void> {
    await this.#agent?.leave(LEAVE_TIMEOUT_MS);
    await this.stop();
  }

  /** Stops; tasks go on running where their runtime lets them. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await using parts = new AsyncDisposableStack(); // the last first, and each whatever befalls others
    for (const stop of this.#stops.splice(0)) parts.defer(stop);
  }
}
