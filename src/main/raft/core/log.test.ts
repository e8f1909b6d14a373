import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { Entry } from '../../../shared/wire/gen/raftpb.ts';
import { encodedBytes } from './entry-size.ts';
import { RaftLog } from './log.ts';
import { MemoryStorage } from './memory-storage.ts';
import { entryOf } from './testing/group.ts';

/** A log of the given terms from index 1 on, of which the first `stored` are durable. */
function logOf(terms: readonly number[], stored = terms.length): RaftLog {
  const storage = new MemoryStorage();
  const entries = terms.map((term, at) => entryOf(term, at + 1));
  storage.append(entries.slice(0, stored));
  const log = new RaftLog(storage);
  log.append(entries.slice(stored));
  return log;
}

const termsOf = (log: RaftLog): readonly number[] =>
  (log.entries(1, Infinity) ?? []).map(({ term }) => term);

const ascending = fc.array(fc.nat(2), { maxLength: 8 }).map((steps) => {
  let term = 1;
  return steps.map((step) => (term += step));
});

test('[RAFT13] appends resolve conflicts as a twin that compares entry by entry', () => {
  const cases = fc.record({ own: ascending, theirs: ascending, at: fc.nat(8), stored: fc.nat(8) });
  fc.assert(
    fc.property(cases, ({ own, theirs, at, stored }) => {
      const previous = Math.min(at, theirs.length);
      const log = logOf(own, Math.min(stored, own.length));
      const entries = theirs.map((term, i) => entryOf(term, i + 1)).slice(previous);
      const previousTerm = previous === 0 ? 0 : theirs[previous - 1]!;
      const agreed = log.tryAppend({ index: previous, term: previousTerm }, entries, 0);
      const matches = previous === 0 || own[previous - 1] === previousTerm;
      assert.equal(agreed, matches ? theirs.length : null);
      const differs = theirs.findIndex((term, i) => i >= previous && term !== own[i]);
      const keeps = !matches || differs === -1;
      const want = keeps ? own : [...own.slice(0, differs), ...theirs.slice(differs)];
      assert.deepEqual(termsOf(log), want);
    }),
  );
});

test('[RAFT13] a conflict below the commit mark is our bug, not a replacement', () => {
  const log = logOf([1, 1, 1]);
  log.commitTo(2);
  assert.throws(() => log.tryAppend({ index: 1, term: 1 }, [entryOf(2, 2)], 0), /committed/);
});

test('[RAFT15] an append commits up to what it proves', () => {
  for (const [leaderCommit, want] of [
    [1, 1],
    [3, 3],
    [9, 3],
  ] as const) {
    const log = logOf([1, 1, 1, 1, 1]);
    log.tryAppend({ index: 2, term: 1 }, [entryOf(1, 3)], leaderCommit);
    assert.equal(log.committed, want);
  }
});

test('[RAFT16] the place to try next is the last whose term is not above the asked one', () => {
  const log = logOf([1, 1, 4, 4, 6, 6]);
  for (const [index, term, want] of [
    [6, 6, [6, 6]],
    [6, 5, [4, 4]],
    [6, 3, [2, 1]],
    [6, 0, [0, 0]],
    [3, 9, [3, 4]],
  ] as const) {
    const { index: at, term: atTerm } = log.findConflictByTerm(index, term);
    assert.deepEqual([at, atTerm], want);
  }
});

test('[RAFT2] up to date is a later last term, or the same and no shorter', () => {
  const log = logOf([1, 2, 3]);
  for (const [term, index, want] of [
    [4, 1, true],
    [3, 3, true],
    [3, 2, false],
    [2, 9, false],
  ] as const) {
    assert.equal(log.isUpToDate({ term, index }), want);
  }
});

test('[RAFT22] reading across the durable edge is limited as a whole', () => {
  const cases = fc.record({
    terms: ascending.filter((terms) => terms.length > 0),
    stored: fc.nat(8),
    from: fc.nat(8),
    bytesMax: fc.nat(80),
  });
  fc.assert(
    fc.property(cases, ({ terms, stored, from, bytesMax }) => {
      const log = logOf(terms, Math.min(stored, terms.length));
      const start = Math.min(from + 1, terms.length);
      const read = log.entries(start, bytesMax) ?? [];
      const want: Entry[] = [];
      let bytes = 0;
      for (const [at, term] of terms.entries()) {
        if (at + 1 < start) continue;
        const next = entryOf(term, at + 1);
        bytes += encodedBytes(next);
        if (want.length > 0 && bytes > bytesMax) break;
        want.push(next);
      }
      assert.deepEqual(read, want);
    }),
  );
});

test('[RAFT46] a compacted log knows the term before its first entry and nothing earlier', () => {
  const storage = new MemoryStorage();
  storage.append([1, 1, 2, 3].map((term, at) => entryOf(term, at + 1)));
  storage.compact(3);
  const log = new RaftLog(storage);
  assert.deepEqual([log.firstIndex, log.lastIndex, log.committed], [4, 4, 3]);
  assert.deepEqual([log.term(2), log.term(3), log.term(4), log.term(5)], [null, 2, 3, null]);
  assert.equal(log.entries(3, Infinity), null);
  assert.deepEqual(log.findConflictByTerm(4, 1), { index: 2, term: 0 });
});

test('[RAFT46] the storage refuses gaps and compactions that are not in the log', () => {
  const storage = new MemoryStorage();
  storage.append([entryOf(1, 1), entryOf(1, 2)]);
  assert.throws(() => storage.append([entryOf(1, 4)]), /gap/);
  assert.throws(() => storage.compact(3), /cannot compact/);
  assert.throws(() => storage.createSnapshot(3, storage.initialState().confState, undefined));
  storage.append([entryOf(2, 2)]);
  assert.equal(storage.term(2), 2);
  storage.compact(2);
  assert.equal(storage.entries(2, 3, Infinity), null);
  storage.append([entryOf(2, 2), entryOf(2, 3)]);
  assert.deepEqual([storage.firstIndex(), storage.lastIndex()], [3, 3]);
});
