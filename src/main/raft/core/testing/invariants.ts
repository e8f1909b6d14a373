/**
 * What must hold in every raft group at every moment, checked against what members say and store.
 */
import assert from 'node:assert/strict';
import type { Entry, Snapshot } from '../../../../shared/wire/gen/raftpb.ts';
import type { ReadState } from '../read-only.ts';
import type { LogStorage } from '../storage.ts';

/** An entry, and the term of whoever applied it first: it was committed in that term or before. */
type Committed = { readonly entry: Entry; readonly inTerm: number };

export class Invariants {
  readonly #startIndex: number;
  readonly #leaders = new Map<number, bigint>();
  /** By index, what was applied there first. */
  readonly #committed = new Map<number, Committed>();
  /** By term and index, what was written there first, and behind which term. */
  readonly #written = new Map<string, string>();
  /** By context, the highest index that was applied anywhere when the read was asked. */
  readonly #readFloors = new Map<string, number>();

  /** @param startIndex the index that all members start from. */
  constructor(startIndex: number) {
    this.#startIndex = startIndex;
  }

  /** Highest index that was applied anywhere. */
  get committedIndex(): number {
    return this.#startIndex + this.#committed.size;
  }

  /**
   * `id` leads from now on: alone in its term, and with all that was committed in the terms before. Of
   * later terms it may know nothing: the votes for it may be old.
   */
  leads(id: bigint, term: number, log: LogStorage): void {
    const other = this.#leaders.get(term) ?? id;
    assert.equal(other, id, `term ${term} is led by ${other} and ${id}`);
    this.#leaders.set(term, id);
    for (let index = log.firstIndex(); index <= this.committedIndex; index += 1) {
      const committed = this.#committed.get(index);
      if (committed === undefined || committed.inTerm >= term) continue;
      const want = committed.entry.term;
      assert.equal(log.term(index), want, `leader ${id} of term ${term} lacks ${want}/${index}`);
    }
  }

  /** A member applies `entry` in its term `inTerm`: the same entry as all others at this index. */
  applies(id: bigint, entry: Entry, inTerm: number): void {
    const first = this.#committed.get(entry.index)?.entry;
    if (first !== undefined) {
      assert.equal(print(entry), print(first), `${id} applies another entry at ${entry.index}`);
      return;
    }
    assert.equal(entry.index, this.committedIndex + 1, `${id} applies ahead of a gap`);
    this.#committed.set(entry.index, { entry, inTerm });
  }

  /** A member restores `snapshot`: a state that was reached by applying. */
  restores(id: bigint, { metadata }: Snapshot): void {
    const { index, term } = metadata;
    const want = this.#committed.get(index)?.entry.term;
    assert.equal(term, want, `${id} restores a snapshot ${term}/${index} that nobody applied`);
  }

  asksRead(context: string): void {
    this.#readFloors.set(context, this.committedIndex);
  }

  /** A read may be answered: from an index that misses nothing applied before it was asked. */
  answersRead(id: bigint, { index, context }: ReadState): void {
    const floor = this.#readFloors.get(Buffer.from(context).toString()) ?? Infinity;
    assert.ok(index >= floor, `${id} reads at ${index}, though ${floor} was applied before`);
  }

  /**
   * A member writes `entries` into its log: an entry of one term and index is the same on all, and
   * stands behind the same entry. Checked at every write, logs agree wherever their terms do.
   */
  stores(id: bigint, entries: readonly Entry[], log: LogStorage): void {
    for (const entry of entries) {
      const place = `${entry.term}/${entry.index}`;
      const text = `${print(entry)} behind ${log.term(entry.index - 1)}`;
      const first = this.#written.get(place) ?? text;
      assert.equal(text, first, `${id} stores another entry at ${place}`);
      this.#written.set(place, first);
    }
  }

  /** Logs that agree in an entry agree in all entries before it. */
  agree(one: LogStorage, other: LogStorage): void {
    const first = Math.max(one.firstIndex(), other.firstIndex());
    let agreeing = false;
    for (let at = Math.min(one.lastIndex(), other.lastIndex()); at >= first; at -= 1) {
      const same = one.term(at) === other.term(at);
      assert.ok(same || !agreeing, `logs agree after ${at}, but not at it`);
      agreeing = same;
      if (same) assert.equal(print(entryAt(one, at)), print(entryAt(other, at)));
    }
  }
}

function entryAt(log: LogStorage, index: number): Entry | undefined {
  return log.entries(index, index + 1, Infinity)?.[0];
}

/** All of an entry as one comparable text. */
function print(entry: Entry | undefined): string {
  const { term, index, type, data } = entry ?? {};
  return `${term}/${index} type ${type} ${Buffer.from(data ?? []).toString('hex')}`;
}
