/** The managers of the cluster by node, as the store, raft and the network together know them. */
import {
  NodeRole,
  RaftMemberStatusReachability,
  type WeightedPeer,
} from '../../shared/wire/gen/types.ts';
import type { Members } from '../control/context.ts';
import { MANAGER_WEIGHT } from '../dispatcher/session-message.ts';
import type { Standing } from '../operations/leave-refusal.ts';
import type { RaftGroup } from '../raft/group.ts';
import { missing } from '../raft/membership.ts';
import type { RoleGroup } from '../roles/role-manager.ts';
import type { Store } from '../store/transaction.ts';

export type ManagersOptions = {
  readonly group: () => RaftGroup;
  readonly store: () => Pick<Store, 'view'>;
  /** This manager's. */
  readonly nodeId: string;
  /** `host:port` at which this manager is reached. */
  readonly address: () => string;
};

export class Managers {
  readonly #options: ManagersOptions;

  constructor(options: ManagersOptions) {
    this.#options = options;
  }

  get #group(): RaftGroup {
    return this.#options.group();
  }

  /** Whether the store wants the node to be one. */
  isWanted(nodeId: string): boolean {
    const node = this.#options.store().view((view) => view.nodes.get(nodeId));
    return node?.spec.desiredRole === NodeRole.MANAGER;
  }

  /** What users call a node. */
  nameOf(nodeId: string): string {
    const { store } = this.#options;
    const hostname = store().view((view) => view.nodes.get(nodeId)?.description?.hostname);
    return hostname === undefined || hostname === '' ? nodeId : hostname;
  }

  /** What it would mean for the others if this manager left. */
  leaveStanding(): Standing {
    const { nodeId } = this.#options;
    const members = this.#group.driver.members();
    const own = members.find((member) => member.nodeId === nodeId)?.raftId ?? 0n;
    const { allowed } = this.#group.judgeRemoval(own);
    return {
      name: this.nameOf(nodeId),
      members: members.length,
      allowed,
      missing: this.#missing(own),
    };
  }

  /** Where nodes find them. */
  peers(): readonly WeightedPeer[] {
    return this.#group.driver.members().map(({ nodeId, addr }) => ({
      peer: { nodeId, addr: this.#addressOf(nodeId, addr) },
      weight: MANAGER_WEIGHT,
    }));
  }

  /** For those who list and change nodes. */
  members(): Members {
    return {
      byNode: (nodeId) => {
        const { driver } = this.#group;
        const member = driver.members().find((other) => other.nodeId === nodeId);
        if (member === undefined) return undefined;
        const { raftId } = member;
        const leader = driver.status()?.leader === raftId;
        const reachability = this.#group.isReachable(raftId)
          ? RaftMemberStatusReachability.REACHABLE
          : RaftMemberStatusReachability.UNREACHABLE;
        return { raftId, addr: this.#addressOf(nodeId, member.addr), leader, reachability };
      },
      judgeRemoval: (raftId) => {
        const { allowed } = this.#group.judgeRemoval(raftId);
        return { allowed, missing: this.#missing(raftId) };
      },
    };
  }

  /** For the leader's part that makes and unmakes managers. */
  roleGroup(): RoleGroup {
    const group = this.#group;
    return {
      members: () => group.driver.members(),
      self: () => group.driver.status()?.id ?? 0n,
      canRemove: (raftId) => group.judgeRemoval(raftId).allowed,
      missing: (raftId) => this.#missing(raftId),
      remove: (raftId) => group.remove(raftId),
      handOver: (signal) => group.handOver(signal),
    };
  }

  /** Who stands in the way of a member's removal, in words. */
  #missing(raftId: bigint): string {
    const { unreached } = this.#group.judgeRemoval(raftId);
    return missing(unreached, (nodeId) => this.nameOf(nodeId));
  }

  /** The log may not know yet where this manager is reached now. */
  #addressOf(nodeId: string, known: string): string {
    return nodeId === this.#options.nodeId ? this.#options.address() : known;
  }
}
