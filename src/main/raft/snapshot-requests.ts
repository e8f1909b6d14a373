/** Who waits for a snapshot of at least an index. */

type Waiter = { readonly index: number; readonly made: PromiseWithResolvers<void> };

export class SnapshotRequests {
  #waiters: readonly Waiter[] = [];

  get isEmpty(): boolean {
    return this.#waiters.length === 0;
  }

  wait(index: number): Promise<void> {
    const made = Promise.withResolvers<void>();
    this.#waiters = [...this.#waiters, { index, made }];
    return made.promise;
  }

  /** There is a snapshot of `index`. */
  made(index: number): void {
    const { served = [], others = [] } = Object.groupBy(this.#waiters, (waiter) =>
      waiter.index <= index ? 'served' : 'others',
    );
    this.#waiters = others;
    for (const { made } of served) made.resolve();
  }

  /** There will be none. */
  failed(error: unknown): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const { made } of waiters) made.reject(error);
  }
}
