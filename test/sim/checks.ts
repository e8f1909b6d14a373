/**
 * What must hold at every moment, over all managers: raft's own invariants, and that stores and
 * configurations are equal wherever as much is applied. Checked as things happen: whatever is written,
 * sent, applied, read or led.
 */
import assert from 'node:assert/strict';
import { MessageType } from '../../src/shared/wire/gen/raftpb.ts';
import type { Entry, HardState, Message } from '../../src/shared/wire/gen/raftpb.ts';
import type { LogStorage } from '../../src/main/raft/core/storage.ts';
import { Invariants } from '../../src/main/raft/core/testing/invariants.ts';
import type { ReplicatedStore } from '../../src/main/store/store.ts';
import { printView } from './cells.ts';
import { type Belief, Configurations } from './configurations.ts';
import type { OnSave, SimulatedDisk } from './disk.ts';

/**
 * `outcomes` leaves out what looks into a manager while it works: whether it keeps its promises, and
 * how new its reads are. A bug then shows only by what becomes of it.
 */
export type Judge = 'all' | 'outcomes';

export class Checks {
  readonly configurations = new Configurations();
  readonly #judge: Judge;
  readonly #invariants = new Invariants(0);
  /** By applied index, the state that was reached there first. */
  readonly #states: string[] = [];
  /** By member and term, whom it voted for. */
  readonly #votes = new Map<string, bigint>();
  /** By manager, the highest index that it answered a read from. */
  readonly #reads = new Map<string, number>();
  elections = 0;
  snapshots = 0;
  indexReads = 0;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  get committedIndex(): number {
    return this.#invariants.committedIndex;
  }

  /** A member writes: nothing that is applied is replaced, and its hard state does not go back. */
  saves(id: bigint, saved: Parameters<OnSave>[0], log: LogStorage, appliedIndex: number): void {
    const { persist, received, before } = saved;
    const [first] = persist.entries;
    assert.ok((first?.index ?? Infinity) > appliedIndex, `${id} replaces what it has applied`);
    this.#invariants.stores(id, persist.entries, log);
    if (persist.hardState !== null) assertGoesOn(id, before, persist.hardState);
    if (received === undefined) return;
    const { index, term, confState } = received.meta;
    assert.ok(
      index > appliedIndex,
      `${id} goes back from ${appliedIndex} to a snapshot at ${index}`,
    );
    this.#invariants.restores(id, { data: undefined, metadata: { index, term, confState } });
    this.snapshots += 1;
  }

  /** A member's message leaves: it has voted once a term, and promises what its disk has. */
  sends({ type, from, to, term, index, reject }: Message, disk: SimulatedDisk): void {
    if (this.#judge === 'outcomes' || reject) return;
    const { hardState, lastIndex } = disk.durable;
    if (type === MessageType.MsgAppResp) {
      assert.ok(index <= lastIndex, `${from} acknowledges ${index}, and has stored ${lastIndex}`);
      assert.ok(term <= hardState.term, `${from} promises in term ${term}, which it may forget`);
    }
    const asks = type === MessageType.MsgVote;
    if (!asks && type !== MessageType.MsgVoteResp) return;
    const voted = asks ? from : to;
    const key = `${from} in ${term}`;
    const first = this.#votes.get(key) ?? voted;
    assert.equal(voted, first, `${key} votes for ${first} and for ${voted}`);
    this.#votes.set(key, first);
    const kept = hardState.term > term || (hardState.term === term && hardState.vote === voted);
    assert.ok(kept, `${key} votes for ${voted}, which it may forget`);
  }

  leads(id: bigint, term: number, log: LogStorage): void {
    this.elections += 1;
    this.#invariants.leads(id, term, log);
  }

  applies(id: bigint, entry: Entry, inTerm: number): void {
    const first = entry.index > this.committedIndex;
    this.#invariants.applies(id, entry, inTerm);
    if (first) this.configurations.applies(entry);
  }

  /** `name`'s store has just applied an entry, or restored a snapshot. */
  holds(name: string, store: ReplicatedStore): void {
    const { appliedIndex } = store;
    const state = store.view(printView);
    const first = (this.#states[appliedIndex] ??= state);
    assert.equal(state, first, `${name} has another state at ${appliedIndex}`);
  }

  believes(name: string, index: number, belief: Belief): void {
    this.configurations.agree(name, index, belief);
  }

  /** A read that began when `floor` was applied somewhere is answered at `index`. */
  reads(name: string, floor: number, index: number): void {
    this.indexReads += 1;
    const before = this.#reads.get(name) ?? 0;
    assert.ok(index >= before, `${name} reads at ${index}, after it did so at ${before}`);
    this.#reads.set(name, index);
    if (this.#judge === 'outcomes') return;
    assert.ok(index >= floor, `${name} reads at ${index}, though ${floor} was applied before`);
  }
}

const print = ({ term, vote, commit }: HardState): string => `${term}/${vote}/${commit}`;

function assertGoesOn(id: bigint, before: HardState, now: HardState): void {
  const sameVote = now.vote === before.vote || before.vote === 0n;
  const later = now.term > before.term || (now.term === before.term && sameVote);
  const goesOn = later && now.commit >= before.commit;
  assert.ok(goesOn, `${id} goes back from hard state ${print(before)} to ${print(now)}`);
}
