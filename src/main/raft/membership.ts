/**
 * Who belongs to the group: the `RaftMembership` service of the leader (behaviour rules 3.3 and 3.4).
 */
import { randomBytes } from 'node:crypto';
import { HealthCheckResponseServingStatus as Serving } from '../../shared/wire/gen/health.ts';
import { type JoinResponse, RaftMember } from '../../shared/wire/gen/raft.ts';
import { type ConfChange, ConfChangeType } from '../../shared/wire/gen/raftpb.ts';
import type { Caller } from '../rpc/authorise.ts';
import type { Channel } from '../rpc/client.ts';
import { Code, hasCode, RpcError } from '../rpc/errors.ts';
import { implement, type Implementation } from '../rpc/service.ts';

/** For a new member to answer at its address. */
const DIAL_BACK_MS = 5000;

/** Any number from 1 to 2^63, as raft ids are. */
export const newRaftId = (): bigint => (randomBytes(8).readBigUInt64BE() >> 1n) + 1n;

/** The group as this member sees it. */
export type Group = {
  readonly leading: () => boolean;
  readonly members: () => readonly RaftMember[];
  readonly isRemoved: (raftId: bigint) => boolean;
  /** This member. */
  readonly self: () => bigint;
  /** `host:port` at which this member is reached. */
  readonly address: () => string;
  /** Whether another member was reached lately. */
  readonly isActive: (raftId: bigint) => boolean;
  readonly change: (change: Pick<ConfChange, 'type' | 'nodeId' | 'context'>) => Promise<void>;
  readonly connect: (address: string) => Channel;
};

const lostLeader = (): RpcError =>
  new RpcError(
    Code.FAILED_PRECONDITION,
    'raft: failed to process the request: node lost leader status',
  );

type HostPort = { readonly host: string; readonly port: string };

/** `undefined` unless it is `host:port`, an IPv6 host in brackets. */
function parseAddress(address: string): HostPort | undefined {
  const match = /^(?:\[([^[\]]*)\]|([^:[\]]*)):(\d+)$/.exec(address);
  if (match === null) return undefined;
  const [, v6, plain, port = ''] = match;
  return Number(port) < 1 || Number(port) > 65_535 ? undefined : { host: v6 ?? plain ?? '', port };
}

const WILDCARDS: ReadonlySet<string> = new Set(['', '0.0.0.0', '::']);

/**
 * Where the new member is reached: at the address it gives, or where its call came from when that
 * names no host.
 * @throws RpcError InvalidArgument
 */
export function reachableAddress(given: string, remoteAddress: string): string {
  const parsed = parseAddress(given);
  if (parsed === undefined) {
    throw new RpcError(Code.INVALID_ARGUMENT, `invalid address ${given} in raft join request`);
  }
  if (!WILDCARDS.has(parsed.host)) return given;
  const caller = parseAddress(remoteAddress);
  if (caller === undefined) {
    throw new RpcError(Code.INVALID_ARGUMENT, `invalid address ${given} in raft join request`);
  }
  const host = caller.host.includes(':') ? `[${caller.host}]` : caller.host;
  return `${host}:${parsed.port}`;
}

export class Membership {
  readonly #group: Group;
  /** Changes, one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(group: Group) {
    this.#group = group;
  }

  get service(): Implementation {
    return implement('RaftMembership', {
      Join: ({ addr }, caller) => this.#oneByOne(() => this.#join(addr, caller)),
      Leave: ({ node }) => this.#oneByOne(() => this.#leave(node)),
    });
  }

  /** Whether a majority of those who stay is reached now. */
  canRemove(raftId: bigint): boolean {
    const { members, self, isActive } = this.#group;
    const others = members().filter((member) => member.raftId !== raftId);
    const reached = others.filter((other) => other.raftId === self() || isActive(other.raftId));
    return reached.length >= Math.floor((members().length - 1) / 2) + 1;
  }

  #oneByOne<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.then(work, work);
    this.#last = done;
    return done;
  }

  #assertLeads(): void {
    if (!this.#group.leading()) throw lostLeader();
  }

  async #join(given: string, caller: Caller): Promise<JoinResponse> {
    this.#assertLeads();
    const addr = reachableAddress(given, caller.remoteAddress);
    await this.#dialBack(addr);
    this.#assertLeads();
    await this.#tellOwnAddress();
    const known = this.#group.members().find(({ nodeId }) => nodeId === caller.nodeId);
    const member = { raftId: known?.raftId ?? this.#unusedId(), nodeId: caller.nodeId, addr };
    if (known === undefined) await this.#put(ConfChangeType.ConfChangeAddNode, member);
    else if (known.addr !== addr) await this.#put(ConfChangeType.ConfChangeUpdateNode, member);
    return { raftId: member.raftId, members: this.#group.members(), removedMembers: [] };
  }

  /** A founder that nobody had to reach yet may stand there with an address of before. */
  async #tellOwnAddress(): Promise<void> {
    const { members, self, address } = this.#group;
    const own = members().find(({ raftId }) => raftId === self());
    if (own === undefined || own.addr === address()) return;
    await this.#put(ConfChangeType.ConfChangeUpdateNode, { ...own, addr: address() });
  }

  async #put(type: ConfChangeType, member: Omit<RaftMember, 'status'>): Promise<void> {
    const context = RaftMember.encode(RaftMember.create(member));
    await this.#group.change({ type, nodeId: member.raftId, context });
  }

  /** @throws RpcError Unknown when nobody answers there, or somebody who takes no part in raft. */
  async #dialBack(address: string): Promise<void> {
    using channel = this.#group.connect(address);
    const answer = channel
      .service('Health')
      .Check({ service: 'Raft' }, { timeoutMs: DIAL_BACK_MS })
      .catch((error: unknown) => {
        const why = error instanceof RpcError ? error.goText : String(error);
        throw new RpcError(
          Code.UNKNOWN,
          `could not connect to prospective new cluster member using its advertised address: ${why}`,
        );
      });
    const { status } = await answer;
    if (status === Serving.SERVING) {
      await this.#mustBeOurs(channel);
      return;
    }
    const name = Object.entries(Serving).find(([, value]) => value === status)?.[0] ?? status;
    throw new RpcError(Code.UNKNOWN, `health check returned status ${name}`);
  }

  /**
   * A Docker Engine takes part in raft too, but its managers and ours can't share a quorum yet: one
   * that was let in would only stop the cluster.
   */
  async #mustBeOurs(channel: Channel): Promise<void> {
    try {
      await channel.service('Health').Check({ service: 'Skein' }, { timeoutMs: DIAL_BACK_MS });
    } catch (error) {
      if (!hasCode(error, Code.NOT_FOUND)) throw error;
      throw new RpcError(
        Code.FAILED_PRECONDITION,
        'a Docker Engine cannot be a manager of this cluster yet: join it with the worker token',
      );
    }
  }

  #unusedId(): bigint {
    const { members, isRemoved } = this.#group;
    for (;;) {
      const id = newRaftId();
      if (!isRemoved(id) && members().every(({ raftId }) => raftId !== id)) return id;
    }
  }

  async #leave(node: RaftMember | undefined): Promise<object> {
    if (node === undefined) {
      throw new RpcError(Code.INVALID_ARGUMENT, 'no node information provided');
    }
    this.#assertLeads();
    const { members, change } = this.#group;
    if (members().every(({ raftId }) => raftId !== node.raftId)) {
      throw new RpcError(Code.UNKNOWN, 'raft: member unknown');
    }
    if (!this.canRemove(node.raftId)) {
      throw new RpcError(
        Code.UNKNOWN,
        'raft: member cannot be removed, because removing it may result in loss of quorum',
      );
    }
    const type = ConfChangeType.ConfChangeRemoveNode;
    await change({ type, nodeId: node.raftId, context: undefined });
    return {};
  }
}
