/**
 * A member of the group with all that connects it to the others: the driver, the ways to peers, and
 * the services that peers call.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagerReport } from '../../shared/wire/gen/operations.ts';
import { type JoinResponse, RaftMember } from '../../shared/wire/gen/raft.ts';
import { Channel } from '../rpc/client.ts';
import { Code, hasCode } from '../rpc/errors.ts';
import type { Credentials } from '../rpc/listener.ts';
import type { Implementation } from '../rpc/service.ts';
import { type Adoption, adoptionOf, type Joiner } from './adoption.ts';
import { askStatus } from './ask-status.ts';
import { dialBack } from './dial-back.ts';
import { type DriverOptions, RAFT, RaftDriver } from './driver.ts';
import { type Candidate, handOver } from './handover.ts';
import type { StoredSnapshot } from './log/durable-log.ts';
import { knownMembers, type Met, stillMet } from './known-members.ts';
import { Membership, reachableAddress, type RemovalVerdict } from './membership.ts';
import { newRaftId } from './raft-id.ts';
import { raftService, replicationService, type Sender } from './transport/service.ts';
import { RaftTransport } from './transport/transport.ts';

const JOIN = {
  /** For the leader to dial back, and to commit (behaviour rule 3.1). */
  requestTimeoutMs: 25_000,
  pauseMs: 1000,
  /** An election, or another member that joins, may stand in the way. */
  attemptsMax: 10,
} as const;

const HANDOVER = {
  timeoutMs: 25_000,
  /** Looks in the time of one tick. */
  looksATick: 10,
  /** Of the core, unless set otherwise. */
  electionTicks: 10,
} as const;

export type GroupOptions = Omit<DriverOptions, 'send' | 'member'> & {
  readonly credentials: () => Credentials;
  /** `host:port` at which others reach this member. */
  readonly address: () => string;
  /** Whether a node should be a manager, as this member's store says. */
  readonly mayJoin: (nodeId: string) => boolean;
  /** What users call a node. */
  readonly nameOf: (nodeId: string) => string;
  /** This member was removed: the others say so, or the log. May be told more than once. */
  readonly onRemoved: () => void;
};

/** What this member can tell of the group without asking anybody. */
export type GroupReport = Omit<ManagerReport, 'clusterId' | 'nodeId' | 'hostname'>;

/** How a manager joins: whom it asks, and what it keeps. */
export type Joining = Joiner & {
  /** `host:port` of all managers that are known. */
  readonly addresses: () => readonly string[];
  /** `host:port` of a manager; another one after a failure if there is another. */
  readonly address: () => string;
  /** The manager asked last could not help. */
  readonly failed: (address: string) => void;
  /** This node is a member, and its log knows it; it takes part only when this has resolved. */
  readonly joined: (raftId: bigint) => Promise<void>;
};

export class RaftGroup {
  readonly driver: RaftDriver;
  readonly #options: GroupOptions;
  readonly #transport: RaftTransport;
  readonly #membership: Membership;
  /** Members that sent something from where the log does not know them. */
  #met: ReadonlyMap<bigint, Met> = new Map();
  readonly #stopping = new AbortController();

  constructor(options: GroupOptions) {
    this.#options = options;
    const { logger, onRemoved, onMembers } = options;
    const connect = (address: string, onLost?: () => void): Channel =>
      this.connect(address, onLost);
    this.driver = new RaftDriver({
      ...options,
      send: (messages) => this.#transport.send(messages),
      onMembers: () => {
        this.#met = stillMet(this.driver, this.#met);
        this.#setPeers();
        if (this.driver.isRemoved(this.#raftId)) onRemoved();
        onMembers?.();
      },
    });
    this.#transport = new RaftTransport({
      connect,
      ownAddress: options.address,
      openSnapshot: () => this.driver.openSnapshot(),
      log: logger,
      events: {
        unreachable: (raftId) => this.driver.reportUnreachable(raftId),
        snapshot: (raftId, arrived) => this.driver.reportSnapshot(raftId, arrived),
        gone: (raftId) => this.driver.reportGone(raftId),
        removed: onRemoved,
      },
    });
    const { driver } = this;
    this.#membership = new Membership({
      leading: () => driver.leading,
      members: () => driver.members(),
      isRemoved: (raftId) => driver.isRemoved(raftId),
      self: () => this.#raftId,
      address: options.address,
      isActive: (raftId) => this.#transport.isActive(raftId),
      change: (change) => driver.changeMembership(change),
      newId: newRaftId,
      dialBack: (given) => dialBack(connect, given),
      mayJoin: options.mayJoin,
      nameOf: options.nameOf,
    });
  }

  /** `Raft`, `Replication` and `RaftMembership`. */
  get services(): readonly Implementation[] {
    const { driver } = this;
    const receiver = {
      raftId: () => this.#raftId,
      members: () => this.#known(),
      meet: (member: RaftMember) => this.#meet(member),
      isRemoved: (raftId: bigint) => driver.isRemoved(raftId),
      isHealthy: (raftId: bigint) => this.#transport.isHealthy(raftId),
      receive: driver.receive.bind(driver),
    };
    const { logger } = this.#options;
    return [
      raftService(receiver, logger),
      replicationService(receiver, logger),
      this.#membership.service,
    ];
  }

  /** Log and group as this member sees them; zeros for what it does not take part in yet. */
  report(): GroupReport {
    const { log, address } = this.#options;
    const { driver } = this;
    const status = driver.status();
    return {
      raftId: this.#raftId,
      addr: address(),
      term: status?.term ?? 0,
      leader: status?.leader ?? 0n,
      commitIndex: status?.commit ?? 0,
      appliedIndex: driver.appliedIndex,
      firstIndex: log.firstIndex(),
      lastIndex: log.lastIndex(),
      snapshotIndex: log.snapshot()?.metadata.index ?? 0,
      snapshotBytes: log.snapshotBytes(),
      logBytes: log.sizeBytes(),
      members: driver.members(),
      removedMembers: driver.removed(),
    };
  }

  /**
   * A snapshot of all that this member has applied when it is called; whoever gets it disposes of it.
   * @throws when it cannot be stored
   */
  async takeSnapshot(): Promise<StoredSnapshot> {
    await this.driver.takeSnapshot();
    const stored = this.#options.log.readSnapshot();
    if (stored === undefined) throw new Error('this manager has applied nothing yet');
    return stored;
  }

  /** Whether this member is the whole group. */
  get isAlone(): boolean {
    const voters = this.driver.status()?.voters ?? [];
    return voters.length === 1 && voters[0] === this.#raftId;
  }

  /** Who leads, as far as this member knows. */
  leader(): RaftMember | undefined {
    const raftId = this.driver.status()?.leader;
    return this.#known().find((member) => member.raftId === raftId);
  }

  /** Whether a member is this one, or was reached when last tried. */
  isReachable(raftId: bigint): boolean {
    return raftId === this.#raftId || this.#transport.isActive(raftId);
  }

  /** What the removal of a member would mean for the quorum. */
  judgeRemoval(raftId: bigint): RemovalVerdict {
    return this.#membership.judgeRemoval(raftId);
  }

  /** Removes a member for ever. @throws RpcError, StoreError as `Membership` and the driver do */
  remove(raftId: bigint): Promise<void> {
    return this.#membership.remove(raftId);
  }

  /**
   * Lets another member lead; resolves when this one leads no more.
   * @throws Error when none could take over in time; the signal's reason
   */
  handOver(signal: AbortSignal): Promise<void> {
    const { tickMs = RAFT.tickMs, settings } = this.#options;
    const { driver } = this;
    return handOver({
      leading: () => driver.isLeader,
      candidates: () => this.#candidates(),
      transfer: (to) => driver.transferLeadership(to),
      pollMs: Math.max(1, tickMs / HANDOVER.looksATick),
      attemptMs: tickMs * (settings?.electionTicks ?? HANDOVER.electionTicks),
      timeoutMs: HANDOVER.timeoutMs,
      signal: AbortSignal.any([signal, this.#stopping.signal]),
    });
  }

  /**
   * Asks a manager to be let in, and keeps the answer. This node's listener must be up, with its
   * `Raft` health serving: the leader dials back. Whoever was let in before needs no leader.
   */
  async join(joining: Joining): Promise<void> {
    const { log, logger } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 1; ; attempt += 1) {
      const asked = joining.address();
      try {
        logger.debug({ asked, attempt }, 'asks to be let in');
        const known = await this.#adoption(joining);
        const { member, members } = known ?? (await this.#letIn(asked, joining));
        logger.debug({ raftId: member.raftId.toString(16) }, 'was let in');
        await log.saveMember({ ...member, addr: this.#options.address() }, members);
        await joining.joined(member.raftId);
        return;
      } catch (error) {
        signal.throwIfAborted();
        const final =
          hasCode(error, Code.INVALID_ARGUMENT) || hasCode(error, Code.PERMISSION_DENIED);
        if (final || attempt >= JOIN.attemptsMax) throw error;
        logger.warn({ error, attempt, asked }, 'could not join the managers; trying again');
        joining.failed(asked);
      }
      await sleep(JOIN.pauseMs, undefined, { signal });
    }
  }

  /** The member that this node is already, as far as anybody tells. */
  async #adoption(joining: Joining): Promise<Adoption | undefined> {
    return adoptionOf(await this.#askStatus(joining.addresses()), joining);
  }

  /** What other managers tell; they get to know where this one is reached. */
  #askStatus(addresses: readonly string[]): Promise<readonly ManagerReport[]> {
    const { logger: log, address } = this.#options;
    const { signal } = this.#stopping;
    const connect = (other: string): Channel => this.connect(other);
    return askStatus(addresses, connect, { log, signal, listensAt: address() });
  }

  /** A manager has asked something, and said where it is reached; it counts if it is a member. */
  heard({ nodeId, remoteAddress, listensAt }: Sender): void {
    const known = this.driver.members().find((member) => member.nodeId === nodeId);
    if (known === undefined || listensAt === undefined) return;
    const addr = reachableAddress(listensAt, remoteAddress);
    if (this.#known().every((member) => member.raftId !== known.raftId || member.addr !== addr)) {
      this.#meet({ ...known, addr });
    }
  }

  async #letIn(address: string, { nodeId, hasHeld }: Joining): Promise<Adoption> {
    const { raftId, members } = await this.#askToJoin(address);
    if (hasHeld(raftId)) {
      throw new Error(`${address} does not know yet that this manager was removed before`);
    }
    return { member: RaftMember.create({ raftId, nodeId }), members };
  }

  /** Resolves when the log is replayed. */
  async start(): Promise<void> {
    this.#setPeers();
    await this.driver.start();
    void this.#tellAddress();
  }

  /** Ends whatever waits for other members: a join, a handover. */
  giveUp(): void {
    this.#stopping.abort(new Error('this manager stops'));
  }

  async stop(): Promise<void> {
    this.giveUp();
    await this.driver.stop();
    this.#transport.stop();
  }

  /** This node has another certificate. */
  reconnect(): void {
    this.#transport.reconnect();
  }

  async #askToJoin(address: string): Promise<JoinResponse> {
    using channel = this.connect(address);
    const call = { signal: this.#stopping.signal, timeoutMs: JOIN.requestTimeoutMs };
    // Awaited here: the channel must live until then.
    return await channel.service('RaftMembership').Join({ addr: this.#options.address() }, call);
  }

  /**
   * A member that started at another address than before tells the group, through whichever member
   * answers, until its own log says so. It may know less than the others: one that was stopped before
   * its log told of itself is sent nothing until the others know where it is. Never rejects.
   */
  async #tellAddress(): Promise<void> {
    const { address, logger } = this.#options;
    const { signal } = this.#stopping;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const known = this.driver.members().find(({ raftId }) => raftId === this.#raftId);
      if (known?.addr === address()) return;
      try {
        if (known !== undefined) await this.#tellAddressOnce(attempt);
        else await this.#showItself();
      } catch (error) {
        logger.debug({ error, attempt }, 'the managers could not be told of another address yet');
      }
      await sleep(JOIN.pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  /**
   * The log does not tell of this member yet, so it stands for no election, by which others would hear
   * of it, and it would hear from them that it was removed meanwhile.
   */
  async #showItself(): Promise<void> {
    const reports = await this.#askStatus(this.#others().map(({ addr }) => addr));
    const isGone = reports.some(({ removedMembers }) => removedMembers.includes(this.#raftId));
    if (isGone) this.#options.onRemoved();
  }

  async #tellAddressOnce(attempt: number): Promise<void> {
    if (this.driver.leading) {
      await this.#membership.tellOwnAddress();
      return;
    }
    const others = this.#others();
    const other = others[attempt % others.length];
    if (other === undefined) return;
    const { raftId } = await this.#askToJoin(other.addr);
    // Who was removed, and is to be a manager again, was taken for somebody new.
    if (raftId !== this.#raftId) this.#options.onRemoved();
  }

  #candidates(): readonly Candidate[] {
    const status = this.driver.status();
    return [...(status?.progress ?? [])]
      .filter(([raftId]) => raftId !== this.#raftId)
      .map(([raftId, { match }]) => ({
        raftId,
        lag: (status?.lastIndex ?? 0) - match,
        reachedSinceMs: this.#transport.activeSinceMs(raftId),
      }));
  }

  get #raftId(): bigint {
    return this.#options.log.member()?.raftId ?? 0n;
  }

  #known(): readonly RaftMember[] {
    return knownMembers(this.driver, this.#raftId, this.#options.log.peers(), this.#met);
  }

  #meet(member: RaftMember): void {
    const { raftId } = member;
    const insteadOf = this.driver.members().find((known) => known.raftId === raftId)?.addr;
    this.#met = new Map(this.#met).set(raftId, { member, insteadOf });
    this.#setPeers();
  }

  #setPeers(): void {
    this.#transport.setPeers(this.#others());
  }

  #others(): readonly RaftMember[] {
    return this.#known().filter(({ raftId }) => raftId !== this.#raftId);
  }

  /** A connection of this node's to a manager; `onLost` is told when it has ended, unless by `close`. */
  connect(address: string, onLost?: () => void): Channel {
    const { rootPem, ...identity } = this.#options.credentials();
    return new Channel({ to: 'manager', address, rootPem, identity }, onLost);
  }
}
