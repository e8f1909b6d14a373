/**
 * Many small writes as few transactions: items are run one after the other, and whatever they have
 * written so far becomes a transaction whenever it reaches the limits. Each such transaction is
 * proposed at once, so all are in flight together.
 */
import type { Env } from '../../shared/kit/env.ts';
import { ENTRY_OVERHEAD_BYTES_MAX } from './entry-codec.ts';
import { BATCH_BYTES_MAX, BATCH_CHANGES_MAX, ENTRY_BYTES_MAX } from './proposals.ts';
import type { Pipeline } from './pipeline.ts';
import { refusal } from './refusals.ts';
import type { Session } from './session.ts';
import type { Transaction } from './transaction.ts';
import type { TurnBudget } from './turn-budget.ts';
import type { PendingWrite } from './writes.ts';

export type BatchHost = {
  readonly env: Env;
  readonly session: Session;
  /** On the tables of now. */
  readonly transaction: () => Transaction;
  readonly pipeline: Pipeline;
  /** Shared by all batches: when it is spent, others have their turn of the event loop. */
  readonly budget: TurnBudget;
};

export type BatchWork<I> = {
  readonly items: Iterable<I>;
  readonly each: (tx: Transaction, item: I) => void;
  readonly failed: ((item: I, error: unknown) => void) | undefined;
};

/** Rejects when a transaction was not committed, or with the first item's error if nobody takes them. */
export async function runBatch<I>(host: BatchHost, work: BatchWork<I>): Promise<void> {
  const batch = new Batch(host, work);
  const { budget, pipeline } = host;
  for (const item of work.items) {
    if (budget.isSpent) batch.submit();
    while (budget.isSpent) {
      await pipeline.room();
      await budget.more();
    }
    budget.spend(Math.max(1, batch.run(item)));
    if (batch.lost) break;
  }
  batch.submit();
  await batch.settled();
}

function errorOf(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error('no error was thrown', { cause: thrown });
}

class Batch<I> {
  readonly #host: BatchHost;
  readonly #work: BatchWork<I>;
  #writes: PendingWrite[] = [];
  #bytesMax = 0;
  readonly #commits: Promise<void>[] = [];
  #commitError: Error | undefined;
  #itemError: Error | undefined;

  constructor(host: BatchHost, work: BatchWork<I>) {
    this.#host = host;
    this.#work = work;
  }

  /** Whether going on is pointless. */
  get lost(): boolean {
    return this.#commitError !== undefined;
  }

  /** Runs one item; returns how many changes it has made. */
  run(item: I): number {
    const { session, pipeline } = this.#host;
    const error = this.#attempt(item);
    if (session.length > 0 && !pipeline.leading) {
      session.undo();
      this.#commitError ??= refusal('NOT_LEADER');
      return 0;
    }
    if (error !== undefined) {
      session.undo();
      if (this.#work.failed === undefined) this.#itemError ??= error;
      else this.#work.failed(item, error);
      return 0;
    }
    return this.#collect();
  }

  #attempt(item: I): Error | undefined {
    const { session, pipeline, transaction, env } = this.#host;
    session.open(pipeline.begin(), env.nowMs());
    try {
      this.#work.each(transaction(), item);
      return pipeline.fits(session.writes, session.bytesMax) ? undefined : refusal('TOO_LARGE');
    } catch (error) {
      return errorOf(error);
    } finally {
      session.close();
    }
  }

  /** Adds the session's writes to the transaction being filled. */
  #collect(): number {
    const { session } = this.#host;
    const { bytesMax, length } = session;
    if (length === 0) return 0;
    const together = this.#bytesMax + bytesMax + ENTRY_OVERHEAD_BYTES_MAX;
    if (together > ENTRY_BYTES_MAX) this.submit();
    this.#writes.push(...session.take());
    this.#bytesMax += bytesMax;
    if (this.#writes.length >= BATCH_CHANGES_MAX || this.#bytesMax >= BATCH_BYTES_MAX) {
      this.submit();
      this.#host.pipeline.flush();
    }
    return length;
  }

  /** Sends what has been collected on its way. */
  submit(): void {
    if (this.#writes.length === 0) return;
    const committed = this.#host.pipeline.add(this.#writes, this.#bytesMax);
    this.#writes = [];
    this.#bytesMax = 0;
    this.#commits.push(
      committed.catch((error: unknown) => {
        this.#commitError ??= errorOf(error);
      }),
    );
  }

  async settled(): Promise<void> {
    await Promise.all(this.#commits);
    const error = this.#commitError ?? this.#itemError;
    if (error !== undefined) throw error;
  }
}
