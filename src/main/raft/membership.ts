/**
 * Who belongs to the group: the `RaftMembership` service of the leader (behaviour rules 3.3 and 3.4).
 */
import { type JoinResponse, RaftMember } from '../../shared/wire/gen/raft.ts';
import { type ConfChange, ConfChangeType } from '../../shared/wire/gen/raftpb.ts';
import type { Caller } from '../rpc/authorise.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { implement, type Implementation } from '../rpc/service.ts';

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
  /** A raft id that nobody is likely to have. */
  readonly newId: () => bigint;
  /** @throws RpcError Unknown unless a manager answers there that can be let in. */
  readonly dialBack: (address: string) => Promise<void>;
  /** Whether a node should be a manager: one that was demoted must not come back by itself. */
  readonly mayJoin: (nodeId: string) => boolean;
  /** What users call a node. */
  readonly nameOf: (nodeId: string) => string;
};

/** What the removal of a member would mean. */
export type RemovalVerdict = {
  /** Whether enough members would stay that are reached. */
  readonly allowed: boolean;
  /** Those who would stay and are not reached now. */
  readonly unreached: readonly RaftMember[];
};

const lostLeader = (): RpcError =>
  new RpcError(
    Code.FAILED_PRECONDITION,
    'raft: failed to process the request: node lost leader status',
  );

const notMeant = (nodeId: string): RpcError =>
  new RpcError(
    Code.FAILED_PRECONDITION,
    `node ${nodeId} is not to be a manager: promote it before it joins`,
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

  /** Whether a majority of those who stay is reached now, and who is not. */
  judgeRemoval(raftId: bigint): RemovalVerdict {
    const { members, self, isActive } = this.#group;
    const others = members().filter((member) => member.raftId !== raftId);
    const unreached = others.filter((other) => other.raftId !== self() && !isActive(other.raftId));
    const majority = Math.floor((members().length - 1) / 2) + 1;
    return { allowed: others.length - unreached.length >= majority, unreached };
  }

  /**
   * Removes a member for ever; resolves when this member has applied it.
   * @throws RpcError when this member does not lead, knows no such member, or the quorum would be lost
   */
  remove(raftId: bigint): Promise<void> {
    return this.#oneByOne(() => this.#remove(raftId));
  }

  /** Tells the group where this member is reached now, if it has another address there. */
  tellOwnAddress(): Promise<void> {
    return this.#oneByOne(() => {
      this.#assertLeads();
      return this.#tellOwnAddress();
    });
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
    const addr = reachableAddress(given, caller.remoteAddress);
    const joined = this.#memberOf(caller);
    // Its answer was lost. Of two members the other cannot lead without it: any may tell it again.
    if (joined?.addr === addr) return this.#welcome(joined.raftId);
    this.#assertLeads();
    await this.#group.dialBack(addr);
    this.#assertLeads();
    await this.#tellOwnAddress();
    const known = this.#memberOf(caller);
    if (known === undefined && !this.#group.mayJoin(caller.nodeId)) throw notMeant(caller.nodeId);
    const member = { raftId: known?.raftId ?? this.#unusedId(), nodeId: caller.nodeId, addr };
    if (known === undefined) await this.#put(ConfChangeType.ConfChangeAddNode, member);
    else if (known.addr !== addr) await this.#put(ConfChangeType.ConfChangeUpdateNode, member);
    return this.#welcome(member.raftId);
  }

  #memberOf(caller: Caller): RaftMember | undefined {
    return this.#group.members().find(({ nodeId }) => nodeId === caller.nodeId);
  }

  #welcome(raftId: bigint): JoinResponse {
    return { raftId, members: this.#group.members(), removedMembers: [] };
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

  #unusedId(): bigint {
    const { members, isRemoved, newId } = this.#group;
    for (;;) {
      const id = newId();
      if (!isRemoved(id) && members().every(({ raftId }) => raftId !== id)) return id;
    }
  }

  async #leave(node: RaftMember | undefined): Promise<object> {
    if (node === undefined) {
      throw new RpcError(Code.INVALID_ARGUMENT, 'no node information provided');
    }
    await this.#remove(node.raftId);
    return {};
  }

  async #remove(raftId: bigint): Promise<void> {
    this.#assertLeads();
    const { members, change, nameOf } = this.#group;
    if (members().every((member) => member.raftId !== raftId)) {
      throw new RpcError(Code.UNKNOWN, 'raft: member unknown');
    }
    const { allowed, unreached } = this.judgeRemoval(raftId);
    if (!allowed) {
      throw new RpcError(
        Code.UNKNOWN,
        'raft: member cannot be removed, because removing it may result in loss of quorum' +
          missing(unreached, nameOf),
      );
    }
    await change({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: raftId, context: undefined });
  }
}

/** Who stands in the way of a removal, to be put behind what was refused; empty when nobody does. */
export function missing(
  unreached: readonly RaftMember[],
  nameOf: (nodeId: string) => string,
): string {
  if (unreached.length === 0) return '';
  const names = unreached.map(({ nodeId, addr }) => `${nameOf(nodeId)} (${addr})`);
  return `: managers not reached: ${names.join(', ')}`;
}
