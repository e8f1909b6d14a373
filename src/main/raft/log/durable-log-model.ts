/** A durable log beside a plain list: the same steps on both, restarts among them, read the same. */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { Entry, HardState, SnapshotMetadata } from '../../../shared/wire/gen/raftpb.ts';
import type { Persist } from '../core/ready.ts';
import type { DurableLog, SnapshotMeta } from './durable-log.ts';

/** A place that survives a restart. */
export type LogPlace = AsyncDisposable & {
  open(): Promise<DurableLog>;
  /** Makes it as if it had never been opened. */
  clear(): Promise<void>;
};

export const persist = (
  entries: readonly Entry[],
  hardState: HardState | null = null,
): Persist => ({
  hardState,
  snapshot: null,
  entries,
  mustSync: true,
});

export async function* pieces(...list: string[]): AsyncIterable<Uint8Array> {
  for (const text of list) yield Buffer.from(text);
}

export const meta = (index: number, term = 1): SnapshotMeta => ({
  index,
  term,
  confState: { ...SnapshotMetadata.create().confState, voters: [0xfedc_ba98_7654_3210n] },
  members: [],
  removed: [7n],
});

type Step =
  | {
      readonly do: 'save';
      readonly back: number;
      readonly count: number;
      readonly bytes: number;
    }
  | { readonly do: 'snapshot' | 'compact'; readonly share: number }
  | { readonly do: 'receive'; readonly ahead: number }
  | { readonly do: 'restart' };

const aShare = fc.double({ min: 0, max: 1, noNaN: true });
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('save'),
      back: fc.integer({ min: 0, max: 6 }),
      count: fc.integer({ min: 0, max: 8 }),
      bytes: fc.oneof(fc.constant(10), fc.constant(100_000), fc.constant(1_400_000)),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constantFrom('snapshot', 'compact'), share: aShare }),
  },
  fc.record({ do: fc.constant('receive'), ahead: fc.integer({ min: 1, max: 9 }) }),
  { weight: 2, arbitrary: fc.record({ do: fc.constant('restart') }) },
);

/** A log as a list. */
class Model {
  entries: Entry[] = [];
  hardState = HardState.create();
  compacted = { index: 0, term: 0 };
  snapshot: SnapshotMeta | undefined;
  /** Terms only rise. */
  nextTerm = 1;

  get last(): number {
    return this.compacted.index + this.entries.length;
  }

  at(share: number): number {
    const low = this.snapshot?.index ?? 0;
    return low + Math.floor(share * (this.last - low));
  }

  termAt(index: number): number {
    if (index === this.compacted.index) return this.compacted.term;
    return this.entries[index - this.compacted.index - 1]?.term ?? 0;
  }

  append(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) return;
    this.entries.length = first.index - this.compacted.index - 1;
    this.entries.push(...entries);
  }

  compact(index: number, term = this.termAt(index)): void {
    this.entries = this.entries.filter((each) => each.index > index);
    this.compacted = { index, term };
  }
}

function assertSame(log: DurableLog, model: Model): void {
  assert.deepEqual(log.initialState().hardState, model.hardState);
  assert.deepEqual([log.firstIndex(), log.lastIndex()], [model.compacted.index + 1, model.last]);
  assert.equal(log.term(model.compacted.index), model.compacted.term);
  const read: Entry[] = [];
  while (read.length < model.entries.length) {
    const from = log.firstIndex() + read.length;
    const some = log.entries(from, model.last + 1, 2_000_000) ?? [];
    assert.ok(some.length > 0, `nothing at ${from}`);
    read.push(...some);
  }
  assert.deepEqual(read, model.entries);
  for (const each of model.entries) assert.equal(log.term(each.index), each.term);
  using snapshot = log.readSnapshot();
  assert.deepEqual(snapshot?.meta, model.snapshot);
}

/** Takes a step on both. */
async function take(log: DurableLog, model: Model, next: Exclude<Step, { do: 'restart' }>) {
  switch (next.do) {
    case 'save': {
      // Only what no snapshot covers is ever overruled.
      const floor = Math.max(model.snapshot?.index ?? 0, model.compacted.index);
      const first = Math.max(floor + 1, model.last + 1 - next.back);
      const term = (model.nextTerm += 1);
      const data = new Uint8Array(next.bytes).fill(term);
      const entries = Array.from({ length: next.count }, (_, i) =>
        Entry.create({ index: first + i, term, data }),
      );
      const hardState = HardState.create({ term, vote: 3n, commit: floor });
      model.append(entries);
      model.hardState = hardState;
      return log.save(persist(entries, hardState));
    }
    case 'snapshot': {
      const index = model.at(next.share);
      if (index <= (model.snapshot?.index ?? 0)) return undefined;
      model.snapshot = meta(index, model.termAt(index));
      return log.saveSnapshot(model.snapshot, pieces('some', 'thing'));
    }
    case 'compact': {
      const most = model.snapshot?.index ?? 0;
      const index = Math.floor(model.compacted.index + next.share * (most - model.compacted.index));
      if (index <= model.compacted.index) return undefined;
      model.compact(index);
      return log.compact(index);
    }
    case 'receive': {
      const term = (model.nextTerm += 1);
      const received = meta(Math.max(model.hardState.commit, model.last - 4) + next.ahead, term);
      const index = Math.max(received.index, (model.snapshot?.index ?? 0) + 1);
      model.snapshot = { ...received, index };
      model.entries = [];
      model.compacted = { index, term };
      model.hardState = HardState.create({ term, commit: index });
      const { confState } = received;
      const snapshot = { data: undefined, metadata: { index, term, confState } };
      const ready = { hardState: model.hardState, snapshot, entries: [], mustSync: true };
      return log.save(ready, { meta: model.snapshot, chunks: [Buffer.from('theirs')] });
    }
  }
}

export async function anyRun(place: LogPlace): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
      await place.clear();
      const model = new Model();
      let log = await place.open();
      try {
        for (const next of steps) {
          if (next.do === 'restart') {
            await log[Symbol.asyncDispose]();
            log = await place.open();
            await log.removeLeftovers();
          } else {
            await take(log, model, next);
          }
          assertSame(log, model);
        }
      } finally {
        await log[Symbol.asyncDispose]();
      }
    }),
    { numRuns: 40 },
  );
}
