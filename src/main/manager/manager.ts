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
import type { WeightedPeer } from '../../shared/wire/gen/types.ts';
import type { RootCa } from '../ca/root.ts';
import type { SecurityContext } from '../ca/security-context.ts';
import { CertificateAuthority } from '../ca/service.ts';
import { newJoinToken } from '../ca/tokens.ts';
import { controlHandlers } from '../control/control.ts';
import { Dispatcher } from '../dispatcher/dispatcher.ts';
import type { Log } from '../log.ts';
import { leaveRefusal } from '../operations/leave-refusal.ts';
import { Operations } from '../operations/operations.ts';
import type { Policy } from '../rpc/authorise.ts';
import { LogBroker } from '../logbroker/broker.ts';
import { ConstraintEnforcer } from '../orchestrator/enforcer.ts';
import { Orchestrator } from '../orchestrator/orchestrator.ts';
import { TaskReaper } from '../orchestrator/reaper.ts';
import { AllocatorPool } from '../pools/allocator.ts';
import { PlacementPool } from '../pools/placement.ts';
import type { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { foundLog } from '../raft/found-log.ts';
import { type Joining, RaftGroup } from '../raft/group.ts';
import type { LmdbLog } from '../raft/log/lmdb-log.ts';
import { newRaftId } from '../raft/raft-id.ts';
import { ReadsEnded } from '../raft/reads.ts';
import { RoleManager } from '../roles/role-manager.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { Health } from '../rpc/health.ts';
import { listenSocket, listenTcp, type Listener } from '../rpc/listener.ts';
import { type Leader, LeaderRelay } from '../rpc/relay.ts';
import type { LeaderNeeds } from '../rpc/relay-routes.ts';
import { implement, type Implementation } from '../rpc/service.ts';
import { stopping } from '../rpc/unavailable.ts';
import { refusal } from '../store/refusals.ts';
import { ReplicatedStore } from '../store/store.ts';
import { TermStore } from '../store/term-store.ts';
import { CLUSTER_DEFAULTS, foundingEntry } from './founding.ts';
import { Managers } from './managers.ts';
import { KeyManager } from './network-keys.ts';
import { beside, startAll, type Stage } from './stages.ts';

export type ManagerOptions = {
  readonly security: SecurityContext;
  /** The root with its key when this manager founds the cluster now. */
  readonly founds:
    | { readonly root: RootCa; readonly availability: NodeSpecAvailability }
    | undefined;
  /** Which managers let this one in, when the log belongs to no member yet. */
  readonly joins?: Omit<Joining, 'nodeId' | 'clusterId'> | undefined;
  /** Opened; it belongs to the manager from now on. */
  readonly raftLog: LmdbLog;
  /** Replaces the key of this manager's log; resolves when the old one is gone. */
  readonly rotateDataKey: () => Promise<void>;
  readonly listen: { readonly host: string; readonly port: number };
  /** `host:port` at which others reach this manager; port 0 takes the listener's. */
  readonly advertise: { readonly host: string; readonly port: number };
  readonly controlSocket: string;
  readonly tickMs: number;
  /** In ticks; those of the raft core when not given. */
  readonly raft?: { readonly heartbeatTicks: number; readonly electionTicks: number };
  readonly env: Env;
  readonly log: Log;
  /** Somebody on this machine wants the node to leave the cluster, and may. */
  readonly onLeave: () => void;
  /** The group goes on without this manager: it is to be stopped. May be told more than once. */
  readonly onRemoved: () => void;
  /** Nothing can be promised any more: the process must end. */
  readonly onFatal: (error: unknown) => void;
};

/** What feeds the leader's threads: for counters, and for tests that kill them. */
export type LeaderPools = { readonly allocator: AllocatorPool; readonly placement: PlacementPool };

/** What calls under way get to end when this manager stops; streams are ended before. */
const STOP_GRACE_MS = 2000;

/** What another manager gets to take over when this one stops. */
const HANDOVER_MS = 1000;

/** Ticks that a call waits for a leader, but never less than this. */
const PATIENCE = { ticks: 10, msMin: 10_000 } as const;

export class Manager {
  readonly store: ReplicatedStore;
  readonly #options: ManagerOptions;
  readonly #group: RaftGroup;
  readonly #managers: Managers;
  readonly #relay: LeaderRelay;
  readonly #health = new Health(['Raft', 'ControlAPI', 'Skein']);
  readonly #dispatcher: Dispatcher;
  readonly #broker: LogBroker;
  readonly #authority: CertificateAuthority;
  #listeners: Listener[] = [];
  #advertised = '';
  #unwatch: (() => void) | undefined;
  #started: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  /** What those parts see that serve whenever this manager leads. */
  readonly #served: TermStore;
  /** What the parts of this term see, from the moment in which leadership was gained until it is lost. */
  #term: TermStore | undefined;
  /** All that a leader runs, once it is up; of a term that is over until it has been stopped. */
  #leading: { readonly term: TermStore; readonly parts: AsyncDisposable } | undefined;
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
      leader: (needs) => this.#leader(needs),
      credentials: () => security.credentials,
      policy: this.#policy(),
      readIndex: (signal) => this.#readIndex(signal),
      leadership: () => this.#leadership(),
      patienceMs: Math.max(PATIENCE.msMin, PATIENCE.ticks * options.tickMs),
    });
    this.#managers = new Managers({
      group: () => this.#group,
      store: () => this.store,
      nodeId: security.identity.nodeId,
      address: () => this.#advertised,
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
      mayJoin: (nodeId) => this.#managers.isWanted(nodeId),
      nameOf: (nodeId) => this.#managers.nameOf(nodeId),
      onRemoved: options.onRemoved,
      onFatal: (error) => this.#onFatal(error),
    });
    this.store = new ReplicatedStore({ env, log: this.#group.driver });
    const { nodeId, organization } = security.identity;
    const managers = (): readonly WeightedPeer[] => this.#managers.peers();
    const store = (this.#served = new TermStore(this.store));
    this.#dispatcher = new Dispatcher({
      store,
      env,
      log,
      nodeId,
      managers,
      callersWait: () => this.#listeners.some(({ isBehind }) => isBehind),
      monotonicMs: () => performance.now(),
    });
    this.#broker = new LogBroker(store, env);
    this.#authority = new CertificateAuthority({
      store,
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
   * then leads: resolves when it does, and rejects with what `onFatal` hears if it never will. Rejects
   * when the manager is stopped meanwhile.
   */
  start(): Promise<void> {
    return (this.#started ??= this.#start());
  }

  async #start(): Promise<void> {
    const { raftLog, joins, security } = this.#options;
    this.#health.set('Skein', true);
    await this.#listen();
    if (raftLog.member() === undefined && joins !== undefined) {
      this.#health.set('Raft', true); // the leader dials back before it answers
      const { nodeId, organization: clusterId } = security.identity;
      await this.#group.join({ ...joins, nodeId, clusterId });
    }
    await this.#group.start();
    this.#health.set('Raft', true);
    if (this.#group.isAlone) await this.#firstLead.promise;
    this.#health.set('ControlAPI', true);
  }

  /**
   * Leaves leadership to another manager; resolves when this one does not lead.
   * @throws Error when nobody could take over in time; the signal's reason
   */
  handOver(signal: AbortSignal): Promise<void> {
    return this.#group.handOver(signal);
  }

  /** Stops leading, leaves that to another manager if there is one, then stops listening, then writing. */
  stop(): Promise<void> {
    return (this.#stopped ??= this.#stop());
  }

  async #stop(): Promise<void> {
    this.#firstLead.reject(new Error('this manager stops'));
    await (this.#transition = this.#transition.then(() => this.#unlead()));
    await this.#leaveToOthers();
    this.#group.giveUp();
    await this.#started?.catch(() => undefined);
    this.#relay.drain();
    this.#unwatch?.();
    await using parts = new AsyncDisposableStack(); // from the bottom up
    parts.use(this.#options.raftLog);
    parts.defer(() => this.#transition);
    parts.defer(() => this.#group.stop());
    parts.defer(() => this.#relay.close());
    for (const listener of this.#listeners) parts.defer(() => listener.stop(STOP_GRACE_MS));
  }

  /** So that nobody has to find out by himself, while this manager lets its calls end, that it leads no more. */
  async #leaveToOthers(): Promise<void> {
    if (!this.#group.driver.leading || this.#group.isAlone) return;
    try {
      await this.handOver(AbortSignal.timeout(HANDOVER_MS));
    } catch (error) {
      this.#options.log.info({ error }, 'this manager stops while it leads');
    }
  }

  async #listen(): Promise<void> {
    const { security, log, listen, advertise, controlSocket } = this.#options;
    const services = this.#services();
    const operations = this.#operations();
    const { credentials } = security;
    const common = { credentials, services, log };
    const tcp = await listenTcp({
      ...common,
      ...listen,
      services: [...services, operations.forManagers, ...this.#group.services],
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
        services: [...services, operations.forOperator],
        path: controlSocket,
        self,
        route: this.#relay.route('socket'),
      }),
    );
    this.#unwatch = security.watch((identity) => {
      for (const listener of this.#listeners) listener.useCredentials(identity.credentials);
      this.#group.reconnect();
    });
  }

  #operations(): Operations {
    const { nodeId, organization: clusterId } = this.#options.security.identity;
    const hostname = (id: string): string =>
      this.store.view((view) => view.nodes.get(id)?.description?.hostname ?? '');
    return new Operations({
      report: () => ({ clusterId, nodeId, ...this.#group.report() }),
      hostname,
      connect: (address) => this.#group.connect(address),
      heard: (caller) => this.#group.heard(caller),
      rotateDataKey: this.#options.rotateDataKey,
      takeSnapshot: () => this.#group.takeSnapshot(),
      nowMs: this.#options.env.nowMs,
      leave: (force) => this.#leave(force),
    });
  }

  #leave(force: boolean): void {
    if (!force) {
      const text = leaveRefusal(this.#managers.leaveStanding());
      throw new RpcError(Code.FAILED_PRECONDITION, text);
    }
    this.#options.onLeave();
  }

  #services(): readonly Implementation[] {
    const { env } = this.#options;
    return [
      this.#health.service,
      ...this.#authority.services,
      this.#dispatcher.implementation,
      ...this.#broker.implementations,
      implement(
        'Control',
        controlHandlers({
          store: this.store,
          env,
          members: this.#managers.members(),
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

  /** Where calls for the leader go. It is this manager only once what they need is up. */
  #leader(needs: LeaderNeeds): Leader | undefined {
    const { nodeId } = this.#options.security.identity;
    const { driver } = this.#group;
    const areUp = this.#leading?.term.signal.aborted === false;
    const isUp = needs === 'store' ? driver.leading : areUp;
    // Most calls come to the leader, and each asks: no list of members is made for them.
    if (isUp && driver.isLeader) return { nodeId, address: this.#advertised, self: true };
    const member = this.#group.leader();
    if (member === undefined || member.nodeId === nodeId) return undefined;
    return { nodeId: member.nodeId, address: member.addr, self: false };
  }

  /** Of the term in which it was called. */
  #leadership(): (signal: AbortSignal) => Promise<void> {
    const { driver } = this.#group;
    const term = driver.leadingTerm;
    return async (signal) => {
      await this.store.settled();
      await this.#readIndex(signal);
      if (term === undefined || driver.leadingTerm !== term) throw refusal('LEADERSHIP_LOST');
    };
  }

  async #readIndex(signal: AbortSignal): Promise<void> {
    try {
      await this.#group.driver.readIndex(signal);
    } catch (error) {
      throw error instanceof ReadsEnded ? stopping() : error;
    }
  }

  #isRemoved(nodeId: string): boolean {
    const { organization } = this.#options.security.identity;
    return this.store.view((view) => {
      const removed = view.clusters.get(organization)?.blacklistedCertificates ?? {};
      return Object.hasOwn(removed, nodeId);
    });
  }

  #snapshotEvery(): { readonly interval: number; readonly keep: number } {
    const raft = this.store.view((view) => [...view.clusters.all()].at(0)?.spec.raft);
    return {
      interval: raft?.snapshotInterval ?? CLUSTER_DEFAULTS.snapshotInterval,
      keep: raft?.logEntriesForSlowFollowers ?? CLUSTER_DEFAULTS.entriesForSlowFollowers,
    };
  }

  /** What ran in a term that is over writes nothing any more from this moment on; ending it takes longer. */
  #onLeadership(leads: boolean): void {
    const term = leads ? new TermStore(this.store) : undefined;
    this.#endTerm();
    this.#term = term;
    this.#relay.leaderChanged(); // the store takes writes, or does no more
    this.#transition = this.#transition
      .then(() => (term === undefined ? this.#unlead() : this.#lead(term)))
      .catch((error: unknown) => this.#onFatal(error));
  }

  /** Whoever waits for the first lead waits no more. */
  #onFatal(error: unknown): void {
    this.#firstLead.reject(error);
    this.#options.onFatal(error);
  }

  #endTerm(): void {
    this.#term?.end();
    this.#term = undefined;
    this.#served.end();
  }

  async #lead(term: TermStore): Promise<void> {
    if (term.signal.aborted || this.#stopped !== undefined) return;
    this.#served.begin();
    try {
      this.#leading = { term, parts: await startAll(this.#leaderStages(term), term.signal) };
    } catch (error) {
      if (!term.signal.aborted) throw error;
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
    await leading?.parts[Symbol.asyncDispose]();
  }

  #leaderStages(store: TermStore): readonly Stage[] {
    const { env, log } = this.#options;
    const part = { store, env, log };
    const keys = new KeyManager(store, log);
    const pools = { allocator: new AllocatorPool(part), placement: new PlacementPool(part) };
    this.#pools = pools;
    const dispatcher: Stage = {
      name: 'dispatcher',
      start: () => this.#dispatcher.start(),
      stop: () => this.#dispatcher.stop(!store.signal.aborted),
    };
    return [
      { name: 'network keys', start: () => keys.start(), stop: () => keys.stop() },
      stageOf('certificate authority', this.#authority),
      // A new leader serves nobody until its threads run, and a thread takes its time to start.
      beside([stageOf('allocator', pools.allocator), stageOf('placement', pools.placement)]),
      stageOf('constraint enforcer', new ConstraintEnforcer(part)),
      stageOf('task reaper', new TaskReaper(part)),
      stageOf('orchestrator', new Orchestrator(part)),
      stageOf('log broker', this.#broker),
      dispatcher,
      stageOf('role manager', new RoleManager({ store, log, group: this.#managers.roleGroup() })),
    ];
  }
}

const stageOf = (name: string, part: Omit<Stage, 'name'>): Stage => ({
  name,
  start: () => part.start(),
  stop: () => part.stop(),
});

/** `host:port`, an IPv6 host in brackets. */
export const hostPort = (host: string, port: number): string =>
  host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
