/** A store whose log answers at once, and writes to it in pieces: a turn of the event loop each. */
import type { Log } from '../../src/main/store/proposals.ts';
import { ReplicatedStore } from '../../src/main/store/store.ts';
import type { Transaction } from '../../src/main/store/transaction.ts';
import { Random } from '../../src/shared/kit/random.ts';
import type { Figures } from './figures.ts';

export const PER_TRANSACTION = 200;
export const TRANSACTIONS_PER_TURN = 5;

/** A log that keeps nothing and commits when asked. */
export class NullLog implements Log {
  lastIndex = 0;
  readonly leading = true;
  queue: { readonly index: number; readonly bytes: Uint8Array }[] = [];
  bytes = 0;

  propose(bytes: Uint8Array): { readonly index: number } {
    this.lastIndex += 1;
    this.bytes += bytes.length;
    this.queue.push({ index: this.lastIndex, bytes });
    return { index: this.lastIndex };
  }
}

export const random = new Random(1n);
export const env = {
  nowMs: () => Date.now(),
  randBelow: (n: number) => random.below(n),
  newId: newId,
};

/** 25 base-36 digits; as random as a bench needs. */
export function newId(): string {
  let id = '';
  while (id.length < 25) id += random.next().toString(36).slice(-5).padStart(5, '0');
  // Flat, as a decoded id is.
  return Buffer.from(id).toString('latin1');
}

export function open(figures: Figures) {
  const log = new NullLog();
  let deferred: (() => void)[] = [];
  const runDeferred = (): void => {
    const runs = deferred;
    deferred = [];
    for (const each of runs) each();
  };
  const defer = (each: () => void): void => {
    if (deferred.push(each) === 1) setImmediate(runDeferred);
  };
  const store = new ReplicatedStore({ env, log, defer });
  /** Proposes and commits all that was written. */
  const settle = (): void => {
    runDeferred();
    const { queue } = log;
    log.queue = [];
    for (const { index, bytes } of queue) store.committed(index, bytes);
  };
  return { store, log, settle, figures };
}
export type Opened = ReturnType<typeof open>;

export function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += PER_TRANSACTION) {
    yield items.slice(at, at + PER_TRANSACTION);
  }
}

/** Writes every item, some transactions a turn, and commits them in the same turn. */
export function* writes<T>(
  bench: Opened,
  items: readonly T[],
  write: (tx: Transaction, chunk: readonly T[]) => void,
): Generator<() => void> {
  const all = [...chunks(items)];
  for (let at = 0; at < all.length; at += TRANSACTIONS_PER_TURN) {
    yield () => {
      for (const chunk of all.slice(at, at + TRANSACTIONS_PER_TURN)) {
        void bench.store.update((tx) => write(tx, chunk));
      }
      bench.settle();
    };
  }
}
