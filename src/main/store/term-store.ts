/**
 * The store as what a leader runs gets to see it. When the term is over, at that very moment, nothing is
 * written through it any more and no commit is heard, whatever its users are still about to do: a late
 * answer of a thread must not act in a later term, in which this manager may even lead again.
 */
import { refusal } from './refusals.ts';
import type { Commit, Store, Transaction } from './transaction.ts';
import type { View } from './view.ts';

export class TermStore implements Store {
  readonly #store: Store;
  readonly #unwatch = new Set<() => void>();
  #term = new AbortController();

  /** Open from the start; for the parts of one term. */
  constructor(store: Store) {
    this.#store = store;
  }

  /** Aborted when the term is over. */
  get signal(): AbortSignal {
    return this.#term.signal;
  }

  get appliedIndex(): number {
    return this.#store.appliedIndex;
  }

  /** A part that serves term after term begins the next. */
  begin(): void {
    if (this.signal.aborted) this.#term = new AbortController();
  }

  end(): void {
    this.#term.abort(refusal('LEADERSHIP_LOST'));
    for (const unwatch of this.#unwatch) unwatch();
    this.#unwatch.clear();
  }

  view<T>(fn: (view: View) => T): T {
    return this.#store.view(fn);
  }

  head<T>(fn: (view: View) => T): T {
    return this.#store.head(fn);
  }

  update<T>(fn: (tx: Transaction) => T): Promise<T> {
    if (this.signal.aborted) return Promise.reject(this.signal.reason);
    return this.#store.update(fn);
  }

  /** As the store's; items that the term leaves no time for are not run, and then it rejects. */
  async batch<I>(
    items: Iterable<I>,
    each: (tx: Transaction, item: I) => void,
    failed?: (item: I, error: unknown) => void,
  ): Promise<void> {
    const { signal } = this;
    let isCut = false;
    const inTerm = function* inTerm(): Generator<I, void> {
      for (const item of items) {
        isCut = signal.aborted;
        if (isCut) return;
        yield item;
      }
    };
    await this.#store.batch(inTerm(), each, failed);
    if (isCut) throw signal.reason;
  }

  watch(listener: (commit: Commit) => void): () => void {
    if (this.signal.aborted) return () => undefined;
    const unwatch = this.#store.watch(listener);
    const forget = (): void => {
      this.#unwatch.delete(forget);
      unwatch();
    };
    this.#unwatch.add(forget);
    return forget;
  }
}
