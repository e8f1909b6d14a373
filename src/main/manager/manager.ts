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
import type { Policy } from '../rpc/authorise.ts';
import { LogBroker } from '../logbroker/broker.ts';
import { ConstraintEnforcer } from '../orchestrator/enforcer.ts';
import { Orchestrator } from '../orchestrator/orchestrator.ts';
import { TaskReaper } from '../orchestrator/reaper.ts';
import { AllocatorPool } from '../pools/allocator.ts';
import { PlacementPool } from '../pools/placement.ts';
import type { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { foundLog } from '../raft/driver.ts';
import { RaftGroup } from '../raft/group.ts';
import type { LmdbLog } from '../raft/log/lmdb-log.ts';
import { newRaftId } from '../raft/membership.ts';
import { Health } from '../rpc/health.ts';
import { listenSocket, listenTcp, type Listener } from '../rpc/listener.ts';
import { type Leader, LeaderRelay } from '../rpc/relay.ts';
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
  /** `host:port` of a manager that lets this one in, when the log belongs to no member yet. */
  readonly joins?: string | undefined;
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

/** Ticks that a call waits for a leader, but never less than this. */
const PATIENCE = { ticks: 10, msMin: 10_000 } as const;

export class Manager {
  readonly store: ReplicatedStore;
  readonly #options: ManagerOptions;
  readonly #group: RaftGroup;
  readonly #relay: LeaderRelay;
  readonly #health = new Health(['Raft', 'ControlAPI', 'Skein']);
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

  private constructor(options: ManagerOptions) {
    this.#options = options;
    const { env, log, security, raftLog } = options;
    // Whoever has to know hears it by `onFatal` too.
    this.#firstLead.promise.catch(() => undefined);
    this.#relay = new LeaderRelay({
      leader: () => this.#leader(),
      credentials: () => security.credentials,
      policy: this.#policy(),
      patienceMs: Math.max(PATIENCE.msMin, PATIENCE.ticks * options.tickMs),
    });
    this.#group = new RaftGroup({
      log: raftLog,
      machine: {
        committed: (index, bytes) => this.store.committed(index, bytes),
        abort: () => this.store.abort(),
        snapshot: () => this.store.snapshot(),
        restore: (index, chunks) => this.store.restore(index, chunks),
      },
      randBelow: env.randBelow,
      logger: log,
      tickMs: options.tickMs,
      settings: { preVote: true, ...options.raft },
      credentials: () => security.credentials,
      address: () => this.#advertised,
      snapshotEvery: () => this.#snapshotEvery(),
      onLeadership: (leads) => this.#onLeadership(leads),
      onLeader: () => this.#relay.leaderChanged(),
      onMembers: () => this.#dispatcher.managersChanged(),
      onRemoved: () => this.#onFatal(new Error('this manager was removed from the cluster')),
      onFatal: (error) => this.#onFatal(error),
    });
    this.store = new ReplicatedStore({ env, log: this.#group.driver });
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
    const { raftLog, founds, joins, security, env, advertise } = options;
    if (founds !== undefined) {
      const { nodeId } = security.identity;
      const addr = hostPort(advertise.host, advertise.port);
      const member = RaftMember.create({ raftId: newRaftId(), nodeId, addr });
      const entry = await foundingEntry({ ...founds, identity: security.identity }, env);
      await foundLog(raftLog, member, [entry]);
    }
    if (raftLog.member() === undefined && joins === undefined) {
      throw new Error('the raft log belongs to no manager');
    }
    return new Manager(options);
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
   * Listens, joins the group if it is to, and takes part in raft. A manager that is the whole group
   * then leads: resolves when it does, and rejects with what `onFatal` hears if it never will.
   */
  async start(): Promise<void> {
    const { raftLog, joins, security } = this.#options;
    this.#health.set('Skein', true);
    await this.#listen();
    if (raftLog.member() === undefined && joins !== undefined) {
      this.#health.set('Raft', true); // the leader dials back before it answers
      await this.#group.join(joins, security.identity.nodeId);
    }
    await this.#group.start();
    this.#health.set('Raft', true);
    if (this.#group.isAlone) await this.#firstLead.promise;
    this.#health.set('ControlAPI', true);
  }

  /** Stops leading, then listening, then writing. */
  async stop(): Promise<void> {
    this.#relay.drain();
    await using parts = new AsyncDisposableStack(); // from the bottom up
    parts.use(this.#options.raftLog);
    parts.defer(() => this.#transition);
    parts.defer(() => this.#group.stop());
    parts.defer(() => this.#relay.close());
    for (const listener of this.#listeners) parts.defer(() => listener.stop(STOP_GRACE_MS));
    await (this.#transition = this.#transition.then(() => this.#unlead()));
  }

  async #listen(): Promise<void> {
    const { security, log, listen, advertise, controlSocket } = this.#options;
    const services = this.#services();
    const { credentials } = security;
    const common = { credentials, services, log };
    const tcp = await listenTcp({
      ...common,
      ...listen,
      services: [...services, ...this.#group.services],
      policy: this.#policy(),
      route: this.#relay.route('tcp'),
    });
    this.#advertised = hostPort(advertise.host, advertise.port === 0 ? tcp.port : advertise.port);
    this.#listeners = [tcp];
    const self = (): ReturnType<Parameters<typeof listenSocket>[0]['self']> => ({
      ...security.identity,
      remoteAddress: this.#advertised,
    });
    this.#listeners.push(
      await listenSocket({
        ...common,
        path: controlSocket,
        self,
        route: this.#relay.route('socket'),
      }),
    );
    security.watch((identity) => {
      for (const listener of this.#listeners) listener.useCredentials(identity.credentials);
      this.#group.reconnect();
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

  #policy(): Policy {
    const { organization } = this.#options.security.identity;
    return { organization, isRemoved: (nodeId) => this.#isRemoved(nodeId) };
  }

  /** Where calls for the leader go. It is this manager only once all that a leader runs is up. */
  #leader(): Leader | undefined {
    const { nodeId } = this.#options.security.identity;
    if (this.#group.isAlone) return { nodeId, address: this.#advertised, self: true };
    const member = this.#group.leader();
    if (member === undefined) return undefined;
    const self = member.nodeId === nodeId;
    if (self && this.#leading === undefined) return undefined;
    return { nodeId: member.nodeId, address: member.addr, self };
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
        const { driver } = this.#group;
        const member = driver.members().find((m) => m.nodeId === nodeId);
        if (member === undefined) return undefined;
        const leader = driver.status()?.leader === member.raftId;
        const own = nodeId === this.#options.security.identity.nodeId;
        const addr = own ? this.#advertised : member.addr;
        const reachability = this.#group.isReachable(member.raftId)
          ? RaftMemberStatusReachability.REACHABLE
          : RaftMemberStatusReachability.UNREACHABLE;
        return { raftId: member.raftId, addr, leader, reachability };
      },
      // Nothing carries out a demotion yet; one that is accepted would never happen.
      canRemove: () => false,
    };
  }

  #managers(): readonly WeightedPeer[] {
    const own = this.#options.security.identity.nodeId;
    return this.#group.driver.members().map(({ nodeId, addr }) => ({
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
    if (!this.#group.driver.leading || this.#leading !== undefined) return;
    try {
      this.#leading = await startAll(this.#leaderStages());
    } catch (error) {
      if (this.#group.driver.leading) throw error;
      this.#options.log.info({ error }, 'leadership was lost while this manager began to lead');
      return;
    }
    this.#options.log.info({ node: this.#options.security.identity.nodeId }, 'this manager leads');
    this.#firstLead.resolve();
    this.#relay.leaderChanged();
  }

  async #unlead(): Promise<void> {
    const leading = this.#leading;
    this.#leading = undefined;
    this.#pools = undefined;
    this.#relay.leaderChanged();
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
      stop: () => this.#dispatcher.stop(this.#group.driver.leading),
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
