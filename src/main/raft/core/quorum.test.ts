import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { committedIndex, majority, voteResult } from './quorum.ts';
import type { VoteResult } from './quorum.ts';

const member = (at: number): bigint => BigInt(at + 1);
const idsOf = (items: readonly unknown[]): readonly bigint[] => items.map((_, at) => member(at));
const of =
  <T>(items: readonly T[]) =>
  (id: bigint): T =>
    items[Number(id) - 1]!;

/** Every index tried from above: is it reached by more than half? */
function slowCommitted(reached: readonly number[]): number {
  const isReached = (index: number): boolean =>
    reached.filter((own) => own >= index).length * 2 > reached.length;
  return reached.toSorted((a, b) => b - a).find(isReached) ?? 0;
}

/** Every way that the missing votes may fall. */
function slowVote(votes: readonly (boolean | undefined)[]): VoteResult {
  const open = votes.indexOf(undefined);
  if (open === -1) return votes.filter(Boolean).length * 2 > votes.length ? 'won' : 'lost';
  const [yes, no] = [true, false].map((vote) => slowVote(votes.with(open, vote)));
  return yes === no ? (yes ?? 'pending') : 'pending';
}

test('[RAFT43] committed indexes equal those of a slow twin', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(9), { maxLength: 7 }), (reached) => {
      assert.equal(committedIndex(idsOf(reached), of(reached)), slowCommitted(reached));
    }),
  );
});

test('[RAFT43] elections stand as in a slow twin that tries every outcome', () => {
  const vote = fc.constantFrom(true, false, undefined);
  fc.assert(
    fc.property(fc.array(vote, { minLength: 1, maxLength: 7 }), (votes) => {
      assert.equal(voteResult(idsOf(votes), of(votes)), slowVote(votes));
    }),
  );
});

test('[RAFT43] any two majorities share a member', () => {
  for (let size = 1; size <= 9; size += 1) {
    assert.ok(majority(size) * 2 > size);
    assert.ok((majority(size) - 1) * 2 <= size);
  }
});

test('[RAFT43] nobody commits nothing and elects nobody', () => {
  assert.equal(
    committedIndex([], () => 7),
    0,
  );
  assert.notEqual(
    voteResult([], () => true),
    'won',
  );
});
