/**
 * Who belongs to the group from which index on, told from the committed entries alone: what every
 * member must make of them.
 */
import assert from 'node:assert/strict';
import { RaftMember } from '../../src/shared/wire/gen/raft.ts';
import {
  ConfChange,
  ConfChangeType,
  type Entry,
  EntryType,
} from '../../src/shared/wire/gen/raftpb.ts';

/** What a member believes. */
export type Belief = {
  readonly members: readonly RaftMember[];
  readonly voters: readonly bigint[];
  readonly isRemoved: (raftId: bigint) => boolean;
};

const NOBODY = 'voters \nremoved ';

export class Configurations {
  readonly #members = new Map<bigint, RaftMember>();
  readonly #removed = new Set<bigint>();
  /** By ascending index, what holds from there on. */
  readonly #texts: { readonly index: number; readonly text: string }[] = [];

  /** The newest members. */
  get members(): readonly RaftMember[] {
    return [...this.#members.values()];
  }

  /** The newest change. */
  get lastIndex(): number {
    return this.#texts.at(-1)?.index ?? 0;
  }

  /** How many there were. */
  get count(): number {
    return this.#texts.length;
  }

  /** An entry is applied for the first time; in order. */
  applies({ type, data, index }: Entry): void {
    if (type === EntryType.EntryNormal) return;
    this.#change(ConfChange.decode(data ?? new Uint8Array()));
    const voters = [...this.#members.keys()];
    const isRemoved = (raftId: bigint): boolean => this.#removed.has(raftId);
    this.#texts.push({ index, text: this.#print({ members: this.members, voters, isRemoved }) });
  }

  /** @throws AssertionError when a member believes something else at `index`. */
  agree(name: string, index: number, belief: Belief): void {
    const want = this.#texts.findLast((known) => known.index <= index)?.text ?? NOBODY;
    assert.equal(this.#print(belief), want, `${name} has another configuration at ${index}`);
  }

  #change({ type, nodeId, context }: ConfChange): void {
    if (type === ConfChangeType.ConfChangeRemoveNode) {
      this.#members.delete(nodeId);
      this.#removed.add(nodeId);
      return;
    }
    const member = RaftMember.decode(context ?? new Uint8Array());
    for (const other of this.#members.values()) {
      const same = other.nodeId === member.nodeId && other.raftId !== nodeId;
      assert.ok(!same, `${member.nodeId} is a member twice`);
    }
    assert.ok(!this.#removed.has(nodeId), `${nodeId} comes back after its removal`);
    this.#members.set(nodeId, member);
  }

  #print({ members, voters, isRemoved }: Belief): string {
    const inOrder = members.toSorted((a, b) => (a.raftId < b.raftId ? -1 : 1));
    const lines = inOrder.map(({ raftId, nodeId, addr }) => `${raftId} is ${nodeId} at ${addr}`);
    const votes = voters.toSorted((a, b) => (a < b ? -1 : 1));
    const gone = [...this.#removed].filter(isRemoved);
    return [...lines, `voters ${votes.join(' ')}`, `removed ${gone.join(' ')}`].join('\n');
  }
}
