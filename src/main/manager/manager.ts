/**
 * A manager: the replicated store on its log, the services that stand on it, and what the leader runs.
 *
 * While this manager leads, the leader's parts run; they start in the order of `#leaderStages` and stop
 * in the reverse, one change of leadership after the other.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { randomBytes } from 'node:crypto';
import type { Env } from '../../shared/kit/env.ts';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { RaftMemberStatusReachability, type WeightedPeer } from '../../shared/wire/gen/types.ts';
import type { RootCa } from '../ca/root.ts';
import type { SecurityContext } from '../ca/security-context.ts';
import { CertificateAuthority } from '../ca/service.ts';
import { newJoinToken } from '../ca/tokens.ts';
import type { Members } from '../control/context.ts';
import { controlHandlers } from '../control/control.ts';
import { MANAGER_WEIGHT } from '../dispatcher/session-message.ts';
import { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { Log } from '../log.ts';
import { LogBroker } from '../logbroker/broker.ts';
import { ConstraintEnforcer } from '../orchestrator/enforcer.ts';
import { Orchestrator } from '../orchestrator/orchestrator.ts';
import { TaskReaper } from '../orchestrator/reaper.ts';
import { AllocatorPool } from '../pools/allocator.ts';
import { PlacementPool } from '../pools/placement.ts';
import type { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { foundLog, RaftDriver } from '../raft/driver.ts';
import type { LmdbLog } from '../raft/log/lmdb-log.ts';
import { Health } from '../rpc/health.ts';
import { listenSocket, listenTcp, type Listener } from '../rpc/listener.ts';
import { held, implement, type Implementation } from '../rpc/service.ts';
import { ReplicatedStore } from '../store/store.ts';
import { CLUSTER_DEFAULTS, foundingEntry } from './founding.ts';
import { KeyManager } from './network-keys.ts';
import { startAll, type Stage } from './stages.ts';

export type ManagerOptions = {
  readonly security: SecurityContext;
  /** The root with its key when this manager founds the cluster now. */
  readonly founds:
    | { readonly root: RootCa; readonly availability: NodeSpecAvailability }
    | undefined;
  /** Opened; it belongs to the manager from now on. */
  readonly raftLog: LmdbLog;
  readonly listen: { readonly host: string; readonly port: number };
  /** `host:port` at which others reach this manager; port 0 takes the listener's. */
  readonly advertise: { readonly host: string; readonly port: number };
  readonly controlSocket: string;
  readonly tickMs: number;
  /** In ticks; those of the raft core when not given. */
  readonly raft?: { readonly heartbeatTicks: number; readonly electionTicks: number };
  readonly env: Env;
  readonly log: Log;
  /** Nothing can be promised any more: the process must end. */
  readonly onFatal: (error: unknown) => void;
};

/** What feeds the leader's threads: for counters, and for tests that kill them. */
export type LeaderPools = { readonly allocator: AllocatorPool; readonly placement: PlacementPool };

/** What calls under way get to end when this manager stops; streams are ended before. */
const STOP_GRACE_MS = 2000;

/** Any number from 1 to 2^63, as raft ids are. */
const newRaftId = (): bigint => (randomBytes(8).readBigUInt64BE() >> 1n) + 1n;

export class Manager {
  readonly store: ReplicatedStore;
  readonly #options: ManagerOptions;
  readonly #driver: RaftDriver;
  readonly #health = new Health(['Raft', 'ControlAPI']);
  readonly #dispatcher: Dispatcher;
  readonly #broker: LogBroker;
  readonly #authority: CertificateAuthority;
  #listeners: Listener[] = [];
  #advertised = '';
  #leading: AsyncDisposable | undefined;
  #pools: LeaderPools | undefined;
  /** Changes of leadership, one after the other. */
  #transition: Promise<void> = Promise.resolve();
  readonly #firstLead = Promise.withResolvers<void>();

  private constructor(options: ManagerOptions, member: RaftMember) {
    this.#options = options;
    const { env, log, security, raftLog } = options;
    this.#driver = new RaftDriver({
      log: raftLog,
      machine: {
        committed: (index, bytes) => this.store.committed(index, bytes),
        abort: () => this.store.abort(),
        snapshot: () => this.store.snapshot(),
        restore: (index, chunks) => this.store.restore(index, chunks),
      },
      member,
      randBelow: env.randBelow,
      logger: log,
      tickMs: options.tickMs,
      settings: options.raft ?? {},
      snapshotEvery: () => this.#snapshotEvery(),
      send: () => undefined,
      onLeadership: (leads) => this.#onLeadership(leads),
      onFatal: (error) => this.#onFatal(error),
    });
    this.store = new ReplicatedStore({ env, log: this.#driver });
    const { nodeId, organization } = security.identity;
    const managers = (): readonly WeightedPeer[] => this.#managers();
    this.#dispatcher = new Dispatcher({ store: this.store, env, log, nodeId, managers });
    this.#broker = new LogBroker(this.store, env);
    this.#authority = new CertificateAuthority({
      store: this.store,
      clusterId: organization,
      env,
      log,
    });
  }

  /** Founds the cluster in the log, if it is to. `start` must follow. */
  static async open(options: ManagerOptions): Promise<Manager> {
    const { raftLog, founds, security, env, advertise } = options;
    if (founds !== undefined) {
      const { nodeId } = security.identity;
      const addr = hostPort(advertise.host, advertise.port);
      const member = RaftMember.create({ raftId: newRaftId(), nodeId, addr });
      const entry = await foundingEntry({ ...founds, identity: security.identity }, env);
      await foundLog(raftLog, member, [entry]);
    }
    const member = raftLog.member();
    if (member === undefined) throw new Error('the raft log belongs to no manager');
    return new Manager(options, member);
  }

  /** `host:port` at which this manager is reached. */
  get address(): string {
    return this.#advertised;
  }

  /** Present once this manager leads. */
  get pools(): LeaderPools | undefined {
    return this.#pools;
  }

  /**
   * Listens, takes part in raft, and resolves when this manager leads for the first time. Rejects with
   * what `onFatal` hears if it never will.
   */
  async start(): Promise<void> {
    await this.#listen();
    const started = this.#driver.start().then(() => this.#health.set('Raft', true));
    await Promise.all([started, this.#firstLead.promise]);
    this.#health.set('ControlAPI', true);
  }

  /** Stops leading, then listening, then writing. */
  async stop(): Promise<void> {
    await using parts = new AsyncDisposableStack(); // from the bottom up
    parts.use(this.#options.raftLog);
    parts.defer(() => this.#transition);
    parts.defer(() => this.#driver.stop());
    for (const listener of this.#listeners) parts.defer(() => listener.stop(STOP_GRACE_MS));
    await (this.#transition = this.#transition.then(() => this.#unlead()));
  }

  async #listen(): Promise<void> {
    const { security, log, listen, advertise, controlSocket } = this.#options;
    const services = this.#services();
    const { credentials } = security;
    const policy = {
      organization: security.identity.organization,
      isRemoved: (nodeId: string) => this.#isRemoved(nodeId),
    };
    const tcp = await listenTcp({ ...listen, credentials, services, log, policy });
    this.#advertised = hostPort(advertise.host, advertise.port === 0 ? tcp.port : advertise.port);
    this.#listeners = [tcp];
    const self = (): ReturnType<Parameters<typeof listenSocket>[0]['self']> => ({
      ...security.identity,
      remoteAddress: this.#advertised,
    });
    this.#listeners.push(
      await listenSocket({ path: controlSocket, credentials, services, log, self }),
    );
    security.watch((identity) => {
      for (const listener of this.#listeners) listener.useCredentials(identity.credentials);
    });
  }

  /**
   * All but health waits for the first lead: until then the end of the log, acknowledged before a
   * restart, is not applied, and an answer would go back in time.
   */
  #services(): readonly Implementation[] {
    const waiting = this.#leaderServices();
    const { promise } = this.#firstLead;
    return [this.#health.service, ...waiting.map((service) => held(service, promise))];
  }

  #leaderServices(): readonly Implementation[] {
    const { env } = this.#options;
    return [
      ...this.#authority.services,
      this.#dispatcher.implementation,
      ...this.#broker.implementations,
      implement(
        'Control',
        controlHandlers({
          store: this.store,
          env,
          members: this.#members(),
          keys: { newJoinToken, newUnlockKey: () => randomBytes(32) },
          hasSecretDriver: () => false,
          nextTurn: () => nextTurn(),
        }),
      ),
    ];
  }

  #isRemoved(nodeId: string): boolean {
    const { organization } = this.#options.security.identity;
    return this.store.view((view) => {
      const removed = view.clusters.get(organization)?.blacklistedCertificates ?? {};
      return Object.hasOwn(removed, nodeId);
    });
  }

  #members(): Members {
    return {
      byNode: (nodeId) => {
        const member = this.#driver.members().find((m) => m.nodeId === nodeId);
        if (member === undefined) return undefined;
        const leader = this.#driver.status()?.leader === member.raftId;
        const own = nodeId === this.#options.security.identity.nodeId;
        const addr = own ? this.#advertised : member.addr;
        const reachability = RaftMemberStatusReachability.REACHABLE;
        return { raftId: member.raftId, addr, leader, reachability };
      },
      canRemove: () => false,
    };
  }

  #managers(): readonly WeightedPeer[] {
    const own = this.#options.security.identity.nodeId;
    return this.#driver.members().map(({ nodeId, addr }) => ({
      peer: { nodeId, addr: nodeId === own ? this.#advertised : addr },
      weight: MANAGER_WEIGHT,
    }));
  }

  #snapshotEvery(): { readonly interval: number; readonly keep: number } {
    const raft = this.store.view((view) => [...view.clusters.all()].at(0)?.spec.raft);
    return {
      interval: raft?.snapshotInterval ?? CLUSTER_DEFAULTS.snapshotInterval,
      keep: raft?.logEntriesForSlowFollowers ?? CLUSTER_DEFAULTS.entriesForSlowFollowers,
    };
  }

  #onLeadership(leads: boolean): void {
    this.#transition = this.#transition
      .then(() => (leads ? this.#lead() : this.#unlead()))
      .catch((error: unknown) => this.#onFatal(error));
  }

  /** Whoever waits for the first lead waits no more. */
  #onFatal(error: unknown): void {
    this.#firstLead.reject(error);
    this.#options.onFatal(error);
  }

  async #lead(): Promise<void> {
    if (!this.#driver.leading || this.#leading !== undefined) return;
    try {
      this.#leading = await startAll(this.#leaderStages());
    } catch (error) {
      if (this.#driver.leading) throw error;
      this.#options.log.info({ error }, 'leadership was lost while this manager began to lead');
      return;
    }
    this.#options.log.info({ node: this.#options.security.identity.nodeId }, 'this manager leads');
    this.#firstLead.resolve();
  }

  async #unlead(): Promise<void> {
    const leading = this.#leading;
    this.#leading = undefined;
    this.#pools = undefined;
    await leading?.[Symbol.asyncDispose]();
  }

  #leaderStages(): readonly Stage[] {
    const { env, log } = this.#options;
    const { store } = this;
    const part = { store, env, log };
    const keys = new KeyManager(store, log);
    const pools = { allocator: new AllocatorPool(part), placement: new PlacementPool(part) };
    this.#pools = pools;
    const dispatcher: Stage = {
      name: 'dispatcher',
      start: () => this.#dispatcher.start(),
      stop: () => this.#dispatcher.stop(this.#driver.leading),
    };
    return [
      { name: 'network keys', start: () => keys.start(), stop: () => keys.stop() },
      stageOf('certificate authority', this.#authority),
      stageOf('allocator', pools.allocator),
      stageOf('placement', pools.placement),
      stageOf('constraint enforcer', new ConstraintEnforcer(part)),
      stageOf('task reaper', new TaskReaper(part)),
      stageOf('orchestrator', new Orchestrator(part)),
      stageOf('log broker', this.#broker),
      dispatcher,
    ];
  }
}

const stageOf = (name: string, part: Omit<Stage, 'name'>): Stage => ({
  name,
  start: () => part.start(),
  stop: () => part.stop(),
});

const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
