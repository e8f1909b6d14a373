/**
 * Transactions on their way into the log: those of one turn of the event loop are packed into one
 * entry, and several entries are in flight at a time.
 */
import assert from 'node:assert/strict';
import type { Env } from '../../shared/kit/env.ts';
import { encodeEntry, ENTRY_OVERHEAD_BYTES_MAX } from './entry-codec.ts';
import { ENTRY_BYTES_MAX, type Log } from './proposals.ts';
import { refusal } from './refusals.ts';
import { StoreError } from './transaction.ts';
import type { PendingWrite } from './writes.ts';

/** Bytes in flight above which whoever writes in bulk should wait. */
const BULK_BYTES_MAX = 16 * ENTRY_BYTES_MAX;

type InFlight = {
  readonly writes: readonly PendingWrite[];
  readonly bytesMax: number;
  readonly resolve: () => void;
  readonly reject: (error: StoreError) => void;
};

type ProposedEntry = { readonly index: number; readonly transactions: InFlight[] };

export type PipelineOptions = {
  readonly log: Log;
  readonly env: Env;
  /** Runs a function at the end of the turn. */
  readonly defer: (run: () => void) => void;
  /** What was in flight is given up: the head falls back. */
  readonly onAbort: () => void;
};

export class Pipeline {
  readonly #options: PipelineOptions;
  /** Request ids are only to be unlikely elsewhere: a random half, then a counter. */
  #requestId: bigint;
  #pack: InFlight[] = [];
  #packBytes = 0;
  #flushing = false;
  readonly #proposed: ProposedEntry[] = [];
  #bytesInFlight = 0;
  #waiting: (() => void)[] = [];

  constructor(options: PipelineOptions) {
    this.#options = options;
    this.#requestId = (BigInt(1 + options.env.randBelow(0x7fff_ffff)) << 32n) + 1n;
  }

  /**
   * Begins a transaction: returns the version that its writes carry, which is the index of the last
   * entry. A pack that is half full goes first, so that two transactions of one version rarely end up
   * in two entries.
   */
  begin(): number {
    if (this.#packBytes > ENTRY_BYTES_MAX / 2) this.flush();
    return this.#options.log.lastIndex;
  }

  get leading(): boolean {
    return this.#options.log.leading;
  }

  /** Whether anything was written and is neither committed nor given up. */
  get idle(): boolean {
    return this.#proposed.length === 0 && this.#pack.length === 0;
  }

  /**
   * Whether the writes fit one entry. The bound is tried first; only near the limit are they encoded
   * to be measured.
   */
  fits(writes: readonly PendingWrite[], bytesMax: number): boolean {
    if (bytesMax + ENTRY_OVERHEAD_BYTES_MAX <= ENTRY_BYTES_MAX) return true;
    return encodeEntry(this.#requestId, [writes]).length <= ENTRY_BYTES_MAX;
  }

  /** Puts a transaction that fits into this turn's entry, or the next when that is full. */
  add(writes: readonly PendingWrite[], bytesMax: number): Promise<void> {
    assert(this.leading, 'only a leader proposes');
    const together = this.#packBytes + bytesMax + ENTRY_OVERHEAD_BYTES_MAX;
    if (together > ENTRY_BYTES_MAX && !this.flush()) {
      for (const write of writes) write.drop();
      return Promise.reject(refusal('LEADERSHIP_LOST'));
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#pack.push({ writes, bytesMax, resolve, reject });
    this.#packBytes += bytesMax;
    this.#bytesInFlight += bytesMax;
    if (!this.#flushing) {
      this.#flushing = true;
      this.#options.defer(() => {
        this.#flushing = false;
        this.flush();
      });
    }
    return promise;
  }

  /** Proposes now what has been packed; false when the log refused and all was given up. */
  flush(): boolean {
    if (this.#pack.length === 0) return true;
    const transactions = this.#pack;
    const bytes = encodeEntry(
      (this.#requestId += 1n),
      transactions.map(({ writes }) => writes),
    );
    try {
      const { index } = this.#options.log.propose(bytes);
      assert(index > (this.#proposed.at(-1)?.index ?? 0), `entry ${index} is out of order`);
      this.#proposed.push({ index, transactions });
      this.#pack = [];
      this.#packBytes = 0;
      return true;
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.abort();
      return false;
    }
  }

  /** Takes the entry of this index from what is in flight; undefined when it is not ours. */
  take(index: number): ProposedEntry | undefined {
    const next = this.#proposed[0];
    if (next === undefined || next.index > index) return undefined;
    assert(next.index === index, `entry ${next.index} was passed over by ${index}`);
    this.#proposed.shift();
    for (const { bytesMax } of next.transactions) this.#bytesInFlight -= bytesMax;
    if (this.#bytesInFlight <= BULK_BYTES_MAX) this.#wake();
    return next;
  }

  /** Resolves when all that is in flight is committed; rejects with LEADERSHIP_LOST when it is given up. */
  settled(): Promise<void> {
    if (!this.flush()) return Promise.reject(refusal('LEADERSHIP_LOST'));
    const last = this.#proposed.at(-1);
    if (last === undefined) return Promise.resolve();
    // It rides with the last entry as a transaction that writes nothing.
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    last.transactions.push({ writes: [], bytesMax: 0, resolve, reject });
    return promise;
  }

  /** Gives up all that is in flight. */
  abort(): void {
    const lost = [...this.#proposed.flatMap((entry) => entry.transactions), ...this.#pack];
    this.#proposed.length = 0;
    this.#pack = [];
    this.#packBytes = 0;
    this.#bytesInFlight = 0;
    this.#options.onAbort();
    for (const { writes } of lost) for (const write of writes) write.drop();
    const error = refusal('LEADERSHIP_LOST');
    for (const { reject } of lost) reject(error);
    this.#wake();
  }

  /** Resolves when a bulk writer may go on. */
  room(): Promise<void> {
    if (this.#bytesInFlight <= BULK_BYTES_MAX) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    return promise;
  }

  #wake(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const resolve of waiting) resolve();
  }
}
