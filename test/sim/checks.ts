/**
 * What must hold at every moment, over all managers: raft's own invariants, and that stores are equal
 * wherever as much is applied. Checked as things happen: whatever is written, applied or led.
 */
import assert from 'node:assert/strict';
import type { Entry } from '../../src/shared/wire/gen/raftpb.ts';
import type { LogStorage } from '../../src/main/raft/core/storage.ts';
import { Invariants } from '../../src/main/raft/core/testing/invariants.ts';
import type { ReplicatedStore } from '../../src/main/store/store.ts';
import { printView } from './cells.ts';

export class Checks {
  readonly #invariants = new Invariants(0);
  /** By applied index, the state that was reached there first. */
  readonly #states: string[] = [];
  elections = 0;

  get committedIndex(): number {
    return this.#invariants.committedIndex;
  }

  stores(id: bigint, entries: readonly Entry[], log: LogStorage): void {
    this.#invariants.stores(id, entries, log);
  }

  leads(id: bigint, term: number, log: LogStorage): void {
    this.elections += 1;
    this.#invariants.leads(id, term, log);
  }

  applies(id: bigint, entry: Entry, inTerm: number): void {
    this.#invariants.applies(id, entry, inTerm);
  }

  /** `name`'s store has just applied an entry, or restored a snapshot. */
  holds(name: string, store: ReplicatedStore): void {
    const { appliedIndex } = store;
    const state = store.view(printView);
    const first = (this.#states[appliedIndex] ??= state);
    assert.equal(state, first, `${name} has another state at ${appliedIndex}`);
  }
}
