/**
 * A member of the group with all that connects it to the others: the driver, the ways to peers, and
 * the services that peers call.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { Channel } from '../rpc/client.ts';
import { Code, hasCode } from '../rpc/errors.ts';
import type { Credentials } from '../rpc/listener.ts';
import type { Implementation } from '../rpc/service.ts';
import { type DriverOptions, RaftDriver } from './driver.ts';
import { Membership } from './membership.ts';
import { raftService } from './transport/service.ts';
import { RaftTransport } from './transport/transport.ts';

const JOIN = {
  /** For the leader to dial back, and to commit (behaviour rule 3.1). */
  requestTimeoutMs: 25_000,
  pauseMs: 1000,
  /** An election, or another member that joins, may stand in the way. */
  attemptsMax: 10,
} as const;

export type GroupOptions = Omit<DriverOptions, 'send' | 'member'> & {
  readonly credentials: () => Credentials;
  /** `host:port` at which others reach this member. */
  readonly address: () => string;
  /** The others say that this member was removed. */
  readonly onRemoved: () => void;
};

export class RaftGroup {
  readonly driver: RaftDriver;
  readonly #options: GroupOptions;
  readonly #transport: RaftTransport;
  readonly #membership: Membership;
  readonly #stopping = new AbortController();

  constructor(options: GroupOptions) {
    this.#options = options;
    const { logger, onRemoved, onMembers } = options;
    const connect = (address: string): Channel => this.#connect(address);
    this.driver = new RaftDriver({
      ...options,
      send: (messages) => this.#transport.send(messages),
      onMembers: () => {
        this.#setPeers();
        onMembers?.();
      },
    });
    this.#transport = new RaftTransport({
      connect,
      log: logger,
      events: {
        unreachable: (raftId) => this.driver.reportUnreachable(raftId),
        snapshot: (raftId, arrived) => this.driver.reportSnapshot(raftId, arrived),
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
      connect,
    });
  }

  /** `Raft` and `RaftMembership`. */
  get services(): readonly Implementation[] {
    const { driver } = this;
    const receiver = {
      raftId: () => this.#raftId,
      members: () => driver.members(),
      isRemoved: (raftId: bigint) => driver.isRemoved(raftId),
      isHealthy: (raftId: bigint) => this.#transport.isHealthy(raftId),
      receive: driver.receive.bind(driver),
    };
    return [raftService(receiver, this.#options.logger), this.#membership.service];
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

  /** Whether a majority of those who stay is reached. */
  canRemove(raftId: bigint): boolean {
    return this.#membership.canRemove(raftId);
  }

  /**
   * Asks the manager at `address` to be let in, and keeps the answer. This node's listener must be
   * up, with its `Raft` health serving: the leader dials back.
   */
  async join(address: string, nodeId: string): Promise<void> {
    const { log, logger } = this.#options;
    const own = this.#options.address();
    using channel = this.#connect(address);
    const call = { signal: this.#stopping.signal, timeoutMs: JOIN.requestTimeoutMs };
    for (let attempt = 1; ; attempt += 1) {
      try {
        const joined = await channel.service('RaftMembership').Join({ addr: own }, call);
        const member = RaftMember.create({ raftId: joined.raftId, nodeId, addr: own });
        await log.saveMember(member, joined.members);
        return;
      } catch (error) {
        call.signal.throwIfAborted();
        const final =
          hasCode(error, Code.INVALID_ARGUMENT) || hasCode(error, Code.PERMISSION_DENIED);
        if (final || attempt >= JOIN.attemptsMax) throw error;
        logger.warn({ error, attempt }, 'could not join the managers; trying again');
      }
      await sleep(JOIN.pauseMs, undefined, call);
    }
  }

  /** Resolves when the log is replayed. */
  async start(): Promise<void> {
    this.#setPeers();
    await this.driver.start();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.driver.stop();
    this.#transport.stop();
  }

  /** This node has another certificate. */
  reconnect(): void {
    this.#transport.reconnect();
  }

  get #raftId(): bigint {
    return this.#options.log.member()?.raftId ?? 0n;
  }

  /** The members, and while the log does not tell, those that were there when this one joined. */
  #known(): readonly RaftMember[] {
    const { driver } = this;
    const members = driver.members();
    const ids = new Set(members.map(({ raftId }) => raftId));
    const hints = this.#options.log
      .peers()
      .filter(({ raftId }) => !ids.has(raftId) && !driver.isRemoved(raftId));
    return [...members, ...hints];
  }

  #setPeers(): void {
    this.#transport.setPeers(this.#known().filter(({ raftId }) => raftId !== this.#raftId));
  }

  #connect(address: string): Channel {
    const { rootPem, ...identity } = this.#options.credentials();
    return new Channel({ to: 'manager', address, rootPem, identity });
  }
}
