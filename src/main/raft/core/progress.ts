/**
 * What the leader knows of one follower, and how it may send to it.
 *
 * - `probe`: where the follower's log agrees is not known; one append at a time, then silence until
 *   it answers or a heartbeat comes back.
 * - `replicate`: the follower keeps up; appends are sent ahead of their acknowledgement, within the
 *   inflight limits.
 * - `snapshot`: a snapshot is on its way; no append until it is known what became of it.
 *
 * Holds `match < next`, and `sentCommit < next` unless a higher commit was sent on purpose.
 */
import { Inflights } from './inflights.ts';
import type { InflightLimits } from './inflights.ts';

export type ProgressState = 'probe' | 'replicate' | 'snapshot';

/** A copy of a {@link Progress} for status reports. */
export type ProgressStatus = {
  readonly state: ProgressState;
  readonly match: number;
  readonly next: number;
  readonly paused: boolean;
  /** Last index of the snapshot on its way, or 0. */
  readonly pendingSnapshot: number;
  readonly recentActive: boolean;
  readonly inflight: number;
  readonly inflightFull: boolean;
};

export class Progress {
  readonly #inflights: Inflights;
  #state: ProgressState = 'probe';
  #match: number;
  #next: number;
  #pendingSnapshot = 0;
  /** Highest commit index sent; the follower commits at most up to what it holds. */
  #sentCommit = 0;
  #flowPaused = false;
  /** Whether the follower was heard of since the last quorum check. */
  recentActive: boolean;

  constructor(
    start: { match: number; next: number; recentActive: boolean },
    limits: InflightLimits,
  ) {
    this.#match = start.match;
    this.#next = start.next;
    this.recentActive = start.recentActive;
    this.#inflights = new Inflights(limits);
  }

  get state(): ProgressState {
    return this.#state;
  }

  /** Highest index known to be durable at the follower. */
  get match(): number {
    return this.#match;
  }

  /** Index of the next entry to send. */
  get next(): number {
    return this.#next;
  }

  /** Whether nothing may be sent now. */
  get paused(): boolean {
    return this.#state === 'snapshot' || this.#flowPaused;
  }

  /** Whether an append may carry entries: a follower with full inflights gets only empty ones. */
  get mayCarryEntries(): boolean {
    return this.#state !== 'replicate' || !this.#inflights.full;
  }

  becomeProbe(): void {
    // A snapshot that arrived is where probing goes on; the follower may have taken a later one.
    const reached = this.#state === 'snapshot' ? this.#pendingSnapshot : 0;
    this.#enter('probe');
    this.#next = Math.max(this.#match, reached) + 1;
    this.#sentCommit = Math.min(this.#sentCommit, this.#next - 1);
  }

  becomeReplicate(): void {
    this.#enter('replicate');
    this.#next = this.#match + 1;
    this.#sentCommit = Math.min(this.#sentCommit, this.#next - 1);
  }

  becomeSnapshot(index: number): void {
    this.#enter('snapshot');
    this.#pendingSnapshot = index;
    this.#next = index + 1;
    this.#sentCommit = index;
  }

  /** The snapshot on its way is done with; wait for the follower's word or for a heartbeat. */
  snapshotReported(arrived: boolean): void {
    if (!arrived) this.#pendingSnapshot = 0;
    this.becomeProbe();
    this.#flowPaused = true;
  }

  /** An append with `count` entries of `bytes` payload left, announcing `commit`. */
  sentAppend(count: number, bytes: number, commit: number): void {
    if (this.#state === 'replicate') {
      this.#next += count;
      if (count > 0) this.#inflights.add(this.#next - 1, bytes);
      this.#flowPaused = this.#inflights.full;
    } else if (count > 0) {
      this.#flowPaused = true;
    }
    this.sentCommit(commit);
  }

  sentCommit(commit: number): void {
    this.#sentCommit = commit;
  }

  /** Whether telling `commit` now could let the follower commit more than it was told. */
  canBumpCommit(commit: number): boolean {
    return commit > this.#sentCommit && this.#sentCommit < this.#next - 1;
  }

  /** A heartbeat came back: the follower may be tried again. */
  resume(): void {
    this.#flowPaused = false;
  }

  /** Everything up to `index` is durable at the follower. @returns false when that is old news. */
  acknowledge(index: number): boolean {
    if (index <= this.#match) return false;
    this.#match = index;
    this.#next = Math.max(this.#next, index + 1);
    this.#flowPaused = false;
    return true;
  }

  freeInflightTo(index: number): void {
    this.#inflights.freeTo(index);
  }

  /**
   * The follower refused the append that followed `rejected`; `hint` is the last index where the
   * logs may agree. @returns false when the refusal is old news.
   */
  refuse(rejected: number, hint: number): boolean {
    if (this.#state === 'replicate') {
      if (rejected <= this.#match) return false;
      this.#next = this.#match + 1;
    } else {
      if (this.#next - 1 !== rejected) return false;
      this.#next = Math.max(Math.min(rejected, hint + 1), this.#match + 1);
      this.#flowPaused = false;
    }
    this.#sentCommit = Math.min(this.#sentCommit, this.#next - 1);
    return true;
  }

  status(): ProgressStatus {
    return {
      state: this.#state,
      match: this.#match,
      next: this.#next,
      paused: this.paused,
      pendingSnapshot: this.#pendingSnapshot,
      recentActive: this.recentActive,
      inflight: this.#inflights.count,
      inflightFull: this.#inflights.full,
    };
  }

  #enter(state: ProgressState): void {
    this.#state = state;
    this.#flowPaused = false;
    this.#pendingSnapshot = 0;
    this.#inflights.reset();
  }
}
