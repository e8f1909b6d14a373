/**
 * A node: its identity, its agent, and on a manager also the manager (behaviour chapter 12).
 *
 * `start` brings it up: with an identity on its disk it goes on as who it is; without one it joins the
 * cluster that `join` names, or founds one.
 */
import { mkdir } from 'node:fs/promises';
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
import { joinCluster } from '../ca/bootstrap.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { Renewer } from '../ca/renewer.ts';
import {
  loadSecurityContext,
  nodeRoleOf,
  roleOf,
  type SecurityContext,
} from '../ca/security-context.ts';
import type { Log } from '../log.ts';
import { hostPort, type Manager } from '../manager/manager.ts';
import { TaskPool, type StatusUpdate } from '../pools/tasks.ts';
import { askStatus } from '../raft/ask-status.ts';
import type { LmdbLog } from '../raft/log/lmdb-log.ts';
import { Role } from '../rpc/authorise.ts';
import { Channel, type ChannelTarget } from '../rpc/client.ts';
import { RoleWatch } from './core/role-watch.ts';
import { newJoiningHeaders } from './data-key.ts';
import { ForceRefusedError, forceNewCluster, forgetForce } from './force-new-cluster.ts';
import { forgetCluster, stepDown } from './leaving.ts';
import { headersOnRenewal, ManagerFiles, type OpenLog } from './manager-files.ts';
import { ManagerPart, type ManagerSettings } from './manager-part.ts';
import { type NodeOffer, withOffer } from './offer.ts';
import { readPeers, writePeers } from './peers-file.ts';

export type NodeOptions = {
  readonly stateDir: string;
  /** Empty: the machine's own. */
  readonly hostname: string;
  readonly join: { readonly address: string; readonly token: string } | undefined;
  /** Makes the manager on this disk a cluster of its own: the others are lost for good. */
  readonly forceNewCluster?: boolean;
  /** Of a new node. */
  readonly availability: NodeSpecAvailability;
  /** Where tasks run; undefined on a manager that runs none. */
  readonly executor: ExecutorChoice | undefined;
  readonly taskThreads: number;
  /** What the operator says of this node, beside what its machine has. */
  readonly offer?: NodeOffer;
  /** For whenever this node is a manager. */
  readonly manager: ManagerSettings;
  readonly env: Env;
  readonly log: Log;
  readonly onFatal: (error: unknown) => void;
  /** Somebody on this machine wants the node to leave the cluster: `forget` is to be called. */
  readonly onLeave?: () => void;
};

/** How long a leaving node waits for its tasks to end. */
const LEAVE_TIMEOUT_MS = 30_000;

export class Node {
  readonly #options: NodeOptions;
  readonly #keys: KeyFiles;
  readonly #remotes: Remotes;
  readonly #stopping = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  #security: SecurityContext | undefined;
  readonly #files: ManagerFiles;
  readonly #roles = new RoleWatch();
  #part: ManagerPart | undefined;
  #renewer: Renewer | undefined;
  #agent: Agent | undefined;
  #controllers: TaskPool | undefined;
  #running: Promise<void> = Promise.resolve();
  #stops: (() => Promise<void> | void)[] = [];

  private constructor(options: NodeOptions, remotes: Remotes) {
    this.#options = options;
    this.#remotes = remotes;
    this.#keys = new KeyFiles(join(options.stateDir, 'certificates'));
    this.#files = new ManagerFiles(options.stateDir, this.#keys);
  }

  /** Brings the node up; resolves when it serves (manager) and runs (agent), if not yet registered. */
  static async start(options: NodeOptions): Promise<Node> {
    const { stateDir } = options;
    await mkdir(join(stateDir, 'worker'), { recursive: true, mode: 0o700 });
    const known = await readPeers(stateDir);
    const named = options.join?.address;
    // All that are known may be gone, and the cluster restored where the operator says.
    const isNews = named !== undefined && known.every(({ addr }) => addr !== named);
    const peers = isNews ? [...known, Peer.create({ addr: named })] : known;
    const node = new Node(options, new Remotes(peers));
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

  /** Present while this node is a manager. */
  get manager(): Manager | undefined {
    return this.#part?.manager;
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
    const { env, join: named, stateDir, forceNewCluster: forced } = this.#options;
    this.#security = await loadSecurityContext(this.#keys, env.nowMs());
    if (forced === true && this.#security?.identity.role !== Role.MANAGER) {
      throw new ForceRefusedError(`${stateDir} holds no manager`);
    }
    if (this.#security !== undefined) await this.#files.settle(this.#security.identity.role);
    if (this.#security === undefined && named !== undefined) {
      this.#security = await this.#join(named);
    }
    await this.#startManager();
    this.#startRenewer();
    await this.#startAgent();
    this.#part?.supervise();
  }

  async #join({ address, token }: NonNullable<NodeOptions['join']>): Promise<SecurityContext> {
    const { env, log, availability, stateDir } = this.#options;
    const { signal } = this.#stopping;
    await this.#files.removeLeftover();
    const security = await joinCluster({
      store: this.#keys,
      address,
      token,
      availability,
      managerHeaders: newJoiningHeaders(),
      env,
      log,
      signal,
    });
    // The next start may come before any session, and need not be told again.
    await writePeers(stateDir, [Peer.create({ addr: address })]);
    return security;
  }

  /** Starts the manager of this node if it is to have one by now, and founds a cluster without any. */
  async #startManager(): Promise<void> {
    const { env, log, manager: settings, availability, onFatal } = this.#options;
    const isManager = this.#security === undefined || this.#identity.identity.role === Role.MANAGER;
    let opened: OpenLog | undefined;
    if (isManager) {
      opened = await this.#files.open();
      if (opened === undefined) {
        const { security, ...founded } = await this.#files.found(env);
        this.#security = security;
        opened = founded;
      }
      await this.#settleForce(opened.log);
    }
    const part = new ManagerPart({
      security: this.#identity,
      files: this.#files,
      remotes: this.#remotes,
      joinAddress: this.#options.join?.address,
      settings,
      availability,
      env,
      log,
      renew: () => this.#renewer?.force(),
      onChange: () => this.#agent?.reconnect(),
      onLeave: () => this.#options.onLeave?.(),
      onFatal,
    });
    this.#part = part;
    this.#stops.push(() => part.stop());
    if (opened !== undefined) await part.start(opened);
  }

  /** Makes the group of the log one of this manager, if that is asked for. Closes a log that it may not be. */
  async #settleForce(raftLog: LmdbLog): Promise<void> {
    const { forceNewCluster: forced, manager, log } = this.#options;
    if (forced !== true) {
      await forgetForce(this.#keys);
      return;
    }
    const { organization: clusterId, nodeId } = this.#identity.identity;
    const { host, port } = manager.advertise;
    const { signal } = this.#stopping;
    const connect = (addr: string): Channel =>
      new Channel(this.#remoteTarget({ nodeId: '', addr }));
    try {
      await forceNewCluster({
        raftLog,
        keys: this.#keys,
        nodeId,
        clusterId,
        address: port === 0 ? '' : hostPort(host, port),
        askStatus: (addresses) => askStatus(addresses, connect, { log, signal }),
        log,
      });
    } catch (error) {
      await raftLog[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** How to reach a manager: this node's own by its socket, others by their address. */
  #target(peer: Peer | undefined): ChannelTarget {
    if (this.manager !== undefined) {
      return { to: 'socket', path: this.#options.manager.controlSocket };
    }
    return this.#remoteTarget(peer);
  }

  #remoteTarget(peer: Peer | undefined): ChannelTarget {
    if (peer === undefined) throw new Error('no remote hosts provided');
    const { rootPem, ...identity } = this.#identity.credentials;
    return { to: 'manager', address: peer.addr, rootPem, identity };
  }

  #startRenewer(): void {
    const { env, log } = this.#options;
    const security = this.#identity;
    const renewer = new Renewer({
      security,
      approach: (attempt) => this.#approach(attempt),
      headers: ({ role }, kept) => headersOnRenewal(security.identity.role, role, kept),
      env,
      log,
    });
    renewer.start();
    this.#renewer = renewer;
    this.#stops.push(() => renewer.stop());
    this.#stops.push(security.watch(() => this.#agent?.refresh()));
  }

  /** A manager asks itself first, and another one if that fails and there is one. */
  #approach(attempt: number): ChannelTarget {
    const { env } = this.#options;
    const other = this.#remotes.select(() => env.randBelow(1_000_000) / 1_000_000, this.nodeId);
    return attempt === 1 || other === undefined ? this.#target(other) : this.#remoteTarget(other);
  }

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

  /** The cluster wants this node's certificate renewed, or another role for it. */
  #onNode({ certificate, spec, role }: NodeObject): void {
    this.#part?.hear(roleOf(spec.desiredRole));
    const told = { desired: spec.desiredRole, observed: role };
    const wanted = this.#roles.hear(told, nodeRoleOf(this.#identity.identity.role));
    if (wanted !== undefined) this.#renewer?.force(roleOf(wanted));
    else if (certificate.status.state === IssuanceStatusState.ROTATE) this.#renewer?.force();
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

  /**
   * Leaves the cluster: ends this node's tasks, stops, and keeps nothing of it. A manager lets itself be
   * demoted first, if the others can do without it.
   */
  async forget(): Promise<void> {
    const { stateDir, log, manager } = this.#options;
    if (this.manager !== undefined) {
      const isWorker = (): boolean => this.manager === undefined;
      await stepDown({ socket: manager.controlSocket, nodeId: this.nodeId, isWorker, log });
    }
    await this.leave();
    await forgetCluster(stateDir);
    log.info({}, 'this node has left the cluster');
  }

  /** Stops; tasks go on running where their runtime lets them. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await using parts = new AsyncDisposableStack(); // the last first, and each whatever befalls others
    for (const stop of this.#stops.splice(0)) parts.defer(stop);
  }
}
