/**
 * Plans of many changes, as many small transactions: none takes the event loop for long, none is larger
 * than an entry of the log may be, and no more of them wait for their commits than memory is worth.
 */
import { ServiceSpec } from '../../shared/wire/gen/specs.ts';
import type { Service } from '../../shared/wire/gen/objects.ts';
import type { Store, Transaction } from '../store/transaction.ts';

/** Changes written between two looks at the clock. */
const CHANGES_PER_STEP = 100;
/** A transaction of more than 1.5 MiB is refused, and each task in it has its service's spec. */
const BYTES_PER_STEP = 2 ** 19;
/** What a task has beside that: names, ids, its status. */
const BYTES_BESIDE_SPEC = 1024;
/** Writes that are not committed yet from which on no more are made: they take memory until they are. */
const UNCOMMITTED_MAX = 100;

export class BulkWrites {
  readonly #store: Store;
  readonly #onError: (error: unknown) => void;
  #uncommitted = 0;
  #hasRoom: (() => void) | undefined;

  /** `onError` hears why a transaction was not written; the others go on. */
  constructor(store: Store, onError: (error: unknown) => void) {
    this.#store = store;
    this.#onError = onError;
  }

  /** One transaction, on the head at once. */
  write(fn: (tx: Transaction) => void): void {
    void this.#follow(this.#store.update(fn));
  }

  /** What may be done in several transactions, some of them later, and does nothing when it is done twice. */
  each<I>(items: readonly I[], each: (tx: Transaction, item: I) => void): void {
    void this.#follow(this.#store.batch(items, each));
  }

  /** What to wait for after a write, before the next; undefined when it may follow at once. */
  room(): Promise<void> | undefined {
    if (this.#uncommitted < UNCOMMITTED_MAX) return undefined;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#hasRoom = resolve;
    return promise;
  }

  async #follow(written: Promise<void>): Promise<void> {
    this.#uncommitted += 1;
    try {
      await written;
    } catch (error) {
      this.#onError(error);
    }
    this.#uncommitted -= 1;
    if (this.#uncommitted < UNCOMMITTED_MAX) this.#hasRoom?.();
  }
}

/** New tasks of the service, each with the end of another, that one transaction can hold. */
export function tasksPerStep(service: Service): number {
  const bytes = 2 * (ServiceSpec.encode(service.spec).length + BYTES_BESIDE_SPEC);
  return Math.max(1, Math.min(CHANGES_PER_STEP, Math.floor(BYTES_PER_STEP / bytes)));
}

/** Splits what is to be written so that no step, and no transaction, is large. */
export function* pieces<T>(
  items: Iterable<T>,
  most = CHANGES_PER_STEP,
): Generator<readonly T[], void> {
  let piece: T[] = [];
  for (const item of items) {
    piece.push(item);
    if (piece.length < most) continue;
    yield piece;
    piece = [];
  }
  if (piece.length > 0) yield piece;
}
