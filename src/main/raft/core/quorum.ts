/**
 * Majority arithmetic: what a majority has stored, and how a majority voted.
 */

/** How an election stands: `pending` while the missing votes can still decide it. */
export type VoteResult = 'pending' | 'won' | 'lost';

/** The smallest number of voters that is more than half. */
export function majority(voterCount: number): number {
  return Math.floor(voterCount / 2) + 1;
}

/**
 * The highest index that a majority of `voters` has reached (raft paper section 5.3). Nobody is no
 * majority: without voters it is 0.
 */
export function committedIndex(
  voters: readonly bigint[],
  reached: (voter: bigint) => number,
): number {
  const indexes = voters.map(reached).toSorted((a, b) => b - a);
  return indexes[majority(voters.length) - 1] ?? 0;
}

/** How `voters` decided, given the answers received so far. Answers of others do not count. */
export function voteResult(
  voters: readonly bigint[],
  answer: (voter: bigint) => boolean | undefined,
): VoteResult {
  const needed = majority(voters.length);
  let granted = 0;
  let rejected = 0;
  for (const voter of voters) {
    const granting = answer(voter);
    if (granting === true) granted += 1;
    if (granting === false) rejected += 1;
  }
  if (granted >= needed) return 'won';
  return voters.length - rejected < needed ? 'lost' : 'pending';
}
