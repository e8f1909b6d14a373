/**
 * Everything that is counted over the members: each one's progress while leading, and the votes
 * while standing for election.
 */
import assert from 'node:assert/strict';
import type { Voters } from './configuration.ts';
import type { InflightLimits } from './inflights.ts';
import { Progress } from './progress.ts';
import { committedIndex, voteResult } from './quorum.ts';
import type { VoteResult } from './quorum.ts';

export class Tracker {
  readonly #limits: InflightLimits;
  #voters: Voters = [];
  /** In the order of `#voters`. */
  #progress: ReadonlyMap<bigint, Progress> = new Map();
  readonly #votes = new Map<bigint, boolean>();

  constructor(limits: InflightLimits) {
    this.#limits = limits;
  }

  get voters(): Voters {
    return this.#voters;
  }

  /** Each member's progress, in ascending order of id. */
  get progress(): ReadonlyMap<bigint, Progress> {
    return this.#progress;
  }

  has(id: bigint): boolean {
    return this.#progress.has(id);
  }

  get(id: bigint): Progress {
    const progress = this.#progress.get(id);
    assert(progress !== undefined, `no progress of ${id}`);
    return progress;
  }

  /**
   * Adopts `voters`; who stays keeps its progress. A new member counts as active, so that a quorum
   * check does not fail for it before it could speak.
   */
  setVoters(voters: Voters, lastIndex: number): void {
    const start = { match: 0, next: Math.max(lastIndex, 1), recentActive: true };
    this.#progress = new Map(
      voters.map((id) => [id, this.#progress.get(id) ?? new Progress(start, this.#limits)]),
    );
    this.#voters = voters;
  }

  /** Forgets all progress at the start of a term; only what `self` has is known. */
  reset(self: bigint, lastIndex: number): void {
    this.resetVotes();
    this.#progress = new Map(
      this.#voters.map((id) => {
        const match = id === self ? lastIndex : 0;
        const start = { match, next: lastIndex + 1, recentActive: false };
        return [id, new Progress(start, this.#limits)];
      }),
    );
  }

  /** The highest index that a majority has stored. */
  committed(): number {
    return committedIndex(this.#voters, (id) => this.get(id).match);
  }

  /** Whether a majority was heard of since the last check; then everyone has to speak anew. */
  checkQuorum(self: bigint): boolean {
    const heard = (id: bigint): boolean => id === self || this.get(id).recentActive;
    const active = voteResult(this.#voters, heard) === 'won';
    for (const [id, progress] of this.#progress) {
      if (id !== self) progress.recentActive = false;
    }
    return active;
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** Counts a vote; the first answer of each voter stands. @returns how the election stands. */
  recordVote(from: bigint, granted: boolean): VoteResult {
    if (!this.#votes.has(from)) this.#votes.set(from, granted);
    return voteResult(this.#voters, (id) => this.#votes.get(id));
  }

  /** Whether the members in `acknowledged` are a majority. */
  isMajority(acknowledged: ReadonlySet<bigint>): boolean {
    return voteResult(this.#voters, (id) => acknowledged.has(id) || undefined) === 'won';
  }
}
