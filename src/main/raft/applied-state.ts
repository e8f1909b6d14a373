/** What all applied entries together have made: the state machine's content, and the membership. */
import assert from 'node:assert/strict';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import {
  ConfChange,
  ConfChangeType,
  type ConfState,
  type Entry,
  EntryType,
} from '../../shared/wire/gen/raftpb.ts';
import type { LogFollower } from '../store/proposals.ts';
import { toConfState } from './core/configuration.ts';
import type { ReceivedSnapshot, SnapshotMeta } from './log/durable-log.ts';

/** What the log drives. */
export interface StateMachine extends LogFollower {
  /** The state now, in pieces; later changes do not show in it. */
  snapshot(): AsyncIterable<Uint8Array>;
  /** Replaces the state. */
  restore(index: number, chunks: Iterable<Uint8Array>): Promise<void> | void;
}

export type AppliedStateOptions = {
  readonly machine: StateMachine;
  /** The core's half of a change; returns the configuration from there on. */
  readonly reconfigure: (change: ConfChange) => ConfState;
  /** A member came, went, or has another address. */
  readonly onMembers: () => void;
  /** The change of this id is applied. */
  readonly onChange: (id: bigint) => void;
};

const NO_BYTES = new Uint8Array();

export class AppliedState {
  readonly #options: AppliedStateOptions;
  readonly #members = new Map<bigint, RaftMember>();
  readonly #removed = new Set<bigint>();
  /** Of what is applied: the core may know of a later snapshot's. */
  #confState = toConfState([]);
  #index = 0;

  constructor(options: AppliedStateOptions) {
    this.#options = options;
  }

  /** Of the last entry that is applied. */
  get index(): number {
    return this.#index;
  }

  members(): readonly RaftMember[] {
    return [...this.#members.values()];
  }

  /** Members that were removed, never to come back. */
  removed(): readonly bigint[] {
    return [...this.#removed];
  }

  isRemoved(raftId: bigint): boolean {
    return this.#removed.has(raftId);
  }

  /** What a snapshot of now says of itself; `term` is that of the last entry. */
  describe(term: number): SnapshotMeta {
    return {
      index: this.#index,
      term,
      confState: this.#confState,
      members: this.members(),
      removed: this.removed(),
    };
  }

  /** Becomes what a snapshot holds. */
  async restore({ meta, chunks }: ReceivedSnapshot): Promise<void> {
    this.#members.clear();
    for (const member of meta.members) this.#members.set(member.raftId, member);
    for (const id of meta.removed) this.#removed.add(id);
    this.#confState = meta.confState;
    await this.#options.machine.restore(meta.index, chunks);
    this.#index = meta.index;
    this.#options.onMembers();
  }

  apply(entry: Entry): void {
    assert.equal(entry.index, this.#index + 1, 'an entry is applied out of order');
    const { data = NO_BYTES } = entry;
    const isContent = entry.type === EntryType.EntryNormal;
    if (!isContent) this.#applyMembership(ConfChange.decode(data));
    const content = isContent && data.length > 0 ? data : undefined;
    this.#options.machine.committed(entry.index, content);
    this.#index = entry.index;
  }

  #applyMembership(change: ConfChange): void {
    this.#confState = this.#options.reconfigure(change);
    if (change.type === ConfChangeType.ConfChangeRemoveNode) {
      this.#members.delete(change.nodeId);
      this.#removed.add(change.nodeId);
    } else {
      this.#members.set(change.nodeId, RaftMember.decode(change.context ?? NO_BYTES));
    }
    this.#options.onMembers();
    this.#options.onChange(change.id);
  }
}
