/**
 * The store of a manager: all tables in memory, written through the log.
 *
 * A transaction runs at once on the head and goes into the entry of its turn. The log tells which
 * entries are committed: an own one moves its writes from the head to the committed state, one from
 * elsewhere (on a follower, or when the log is replayed) is applied from its bytes as it stands.
 */
import assert from 'node:assert/strict';
import type { Env } from '../../shared/kit/env.ts';
import { runBatch } from './batch.ts';
import { peekId, readEntry, readStore } from './entry-codec.ts';
import { deepFreeze } from './freeze.ts';
import { Pipeline } from './pipeline.ts';
import type { Log, LogFollower } from './proposals.ts';
import { refusal } from './refusals.ts';
import { OBJECT_KINDS } from './schema.ts';
import { TaskRows } from './rows/task-rows.ts';
import { Session } from './session.ts';
import { noteSnapshot } from './snapshot.ts';
import { committedView, headView, makeCores, transactionOn, type Cores } from './tables.ts';
import type { TaskEngine, TaskUsage } from './task-engine.ts';
import type { Change, Commit, Store, Transaction } from './transaction.ts';
import type { Kind, ObjectKind, View } from './view.ts';
import type { Action } from './writes.ts';

export type StoreOptions = {
  readonly env: Env;
  readonly log: Log;
  /** Runs a function at the end of the turn; `setImmediate` unless given. */
  readonly defer?: (run: () => void) => void;
  /** Freeze every stored object, so that a writer to it is found. For tests. */
  readonly freeze?: boolean;
  /** Keeps the tasks; rows unless given. */
  readonly tasks?: TaskEngine;
};

export class ReplicatedStore implements Store, LogFollower {
  readonly #env: Env;
  readonly #nextTurn: () => Promise<void>;
  readonly #cores: Cores;
  readonly #tasks: TaskEngine;
  readonly #pipeline: Pipeline;
  readonly #session = new Session();
  readonly #committed: View;
  readonly #head: View;
  readonly #transaction: Transaction;
  readonly #listeners = new Set<(commit: Commit) => void>();
  #appliedIndex = 0;

  constructor(options: StoreOptions) {
    const { env, log, defer = (run) => void setImmediate(run) } = options;
    const seal = options.freeze === true ? deepFreeze : <T>(object: T): T => object;
    this.#env = env;
    this.#nextTurn = () => new Promise<void>((resolve) => defer(resolve));
    this.#cores = makeCores(seal);
    this.#tasks = options.tasks ?? new TaskRows(seal);
    this.#pipeline = new Pipeline({ env, log, defer, onAbort: () => this.#dropOverlay() });
    this.#committed = committedView(this.#cores, this.#tasks);
    this.#head = headView(this.#cores, this.#tasks);
    this.#transaction = transactionOn(this.#cores, this.#tasks, this.#session);
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** What the tasks take: for metrics, and to find leaks. */
  get taskUsage(): TaskUsage {
    return this.#tasks.usage();
  }

  view<T>(fn: (view: View) => T): T {
    return fn(this.#committed);
  }

  head<T>(fn: (view: View) => T): T {
    return fn(this.#head);
  }

  update<T>(fn: (tx: Transaction) => T): Promise<T> {
    const session = this.#session;
    session.open(this.#pipeline.begin(), this.#env.nowMs());
    try {
      const result = fn(this.#transaction);
      assert(!(result instanceof Promise), 'a transaction does not wait');
      const committed = this.#submit();
      return committed === undefined ? Promise.resolve(result) : committed.then(() => result);
    } catch (error) {
      session.undo();
      return Promise.reject(error);
    } finally {
      session.close();
    }
  }

  batch<I>(
    items: Iterable<I>,
    each: (tx: Transaction, item: I) => void,
    failed?: (item: I, error: unknown) => void,
  ): Promise<void> {
    const host = {
      env: this.#env,
      session: this.#session,
      transaction: this.#transaction,
      pipeline: this.#pipeline,
      nextTurn: this.#nextTurn,
    };
    return runBatch(host, { items, each, failed });
  }

  watch(listener: (commit: Commit) => void): () => void {
    // Wrapped, so that one function may listen twice.
    const own = (commit: Commit): void => listener(commit);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  committed(index: number, bytes: Uint8Array | undefined): void {
    assert(index === this.#appliedIndex + 1, `entry ${index} came after ${this.#appliedIndex}`);
    const own = this.#pipeline.take(index);
    this.#appliedIndex = index;
    if (own === undefined) {
      this.#applyForeign(index, bytes);
      return;
    }
    const writes = own.transactions.flatMap((transaction) => transaction.writes);
    this.#publish(
      index,
      writes.map((write) => write.commit()),
    );
    this.#tasks.settle();
    for (const write of writes) write.settle();
    for (const transaction of own.transactions) transaction.resolve();
  }

  abort(): void {
    this.#pipeline.abort();
  }

  /**
   * The committed state now, as slices that are each the body of a `StoreSnapshot` and together the
   * whole; each is made in a turn of the event loop of its own, a few milliseconds long. What commits
   * meanwhile is not in them. A second snapshot ends the first.
   */
  snapshot(): AsyncGenerator<Uint8Array, void, undefined> {
    const slices = noteSnapshot(this.#cores, this.#tasks);
    const nextTurn = this.#nextTurn;
    return (async function* paced() {
      for (const slice of slices()) {
        yield slice;
        await nextTurn();
      }
    })();
  }

  /**
   * Makes the committed state that of a snapshot taken at `index`, given as bodies of `StoreSnapshot`
   * (`snapshot`'s slices, or `readSnapshot`'s of one that came from elsewhere). Listeners hear one
   * commit with what differs (behaviour rule 2.5).
   * @throws WireError when the bytes are no snapshot; the store is then in no usable state
   */
  restore(index: number, bodies: Iterable<Uint8Array>): void {
    assert(this.#pipeline.idle, 'a snapshot came while own entries were in flight');
    const tasks = this.#tasks.restore();
    const seen = new Set<string>();
    const changes: Change[] = [];
    for (const body of bodies) {
      for (const { kind, bytes } of readStore(body)) {
        const change = kind === 'task' ? tasks.put(bytes) : this.#restoreObject(kind, bytes, seen);
        if (change !== undefined) changes.push(change);
      }
    }
    for (const kind of OBJECT_KINDS) changes.push(...this.#cores[kind].removeAllBut(seen));
    for (const change of tasks.end()) changes.push(change);
    this.#appliedIndex = index;
    this.#publish(index, changes);
    this.#tasks.settle();
  }

  #restoreObject(kind: ObjectKind, bytes: Uint8Array, seen: Set<string>): Change | undefined {
    const id = peekId(bytes);
    const core = this.#cores[kind];
    seen.add(core.keyOf(id));
    const known = core.committed.get(id);
    const same = known !== undefined && Buffer.compare(known.bytes, bytes) === 0;
    return same ? undefined : core.apply('update', bytes);
  }

  #applyForeign(index: number, bytes: Uint8Array | undefined): void {
    if (bytes === undefined || bytes.length === 0) return;
    assert(this.#pipeline.idle, `entry ${index} came from elsewhere while own ones were in flight`);
    const changes: Change[] = [];
    for (const change of readEntry(bytes)) {
      changes.push(...this.#apply(change.action, change.kind, change.bytes));
    }
    this.#publish(index, changes);
    this.#tasks.settle();
  }

  #apply(action: Action, kind: Kind, bytes: Uint8Array): readonly Change[] {
    const table = kind === 'task' ? this.#tasks : this.#cores[kind];
    const change = table.apply(action, bytes);
    return change === undefined ? [] : [change];
  }

  /** Sends the open transaction on its way; undefined when it has written nothing. */
  #submit(): Promise<void> | undefined {
    const session = this.#session;
    if (session.length === 0) return undefined;
    if (!this.#pipeline.leading) throw refusal('NOT_LEADER');
    const { bytesMax } = session;
    if (!this.#pipeline.fits(session.writes, bytesMax)) throw refusal('TOO_LARGE');
    return this.#pipeline.add(session.take(), bytesMax);
  }

  #publish(index: number, changes: readonly Change[]): void {
    if (changes.length === 0) return;
    const commit: Commit = { index, changes };
    for (const listener of Array.from(this.#listeners)) listener(commit);
  }

  #dropOverlay(): void {
    for (const kind of OBJECT_KINDS) this.#cores[kind].dropOverlay();
    this.#tasks.dropOverlay();
  }
}
