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
import { readEntry } from './entry-codec.ts';
import { deepFreeze } from './freeze.ts';
import { Pipeline } from './pipeline.ts';
import type { Log, LogFollower } from './proposals.ts';
import { refusal } from './refusals.ts';
import { differences, fill } from './restore.ts';
import { OBJECT_KINDS } from './schema.ts';
import { TaskRows } from './rows/task-rows.ts';
import { Session } from './session.ts';
import { noteSnapshot } from './snapshot.ts';
import { makeTables, type Tables } from './tables.ts';
import type { TaskUsage } from './task-engine.ts';
import type { Change, Commit, Store, Transaction } from './transaction.ts';
import type { Kind, View } from './view.ts';
import { TurnBudget } from './turn-budget.ts';
import type { Action } from './writes.ts';

export type StoreOptions = {
  readonly env: Env;
  readonly log: Log;
  /** Runs a function at the end of the turn; `setImmediate` unless given. */
  readonly defer?: (run: () => void) => void;
  /** Freeze every stored object, so that a writer to it is found. For tests. */
  readonly freeze?: boolean;
  /** Objects of a snapshot that are taken in at a time, `RESTORE.objects` unless given. For tests. */
  readonly restoreObjects?: number;
};

/** What of a snapshot is taken in within one turn, about 2 ms. */
const RESTORE = { objects: 512, bytes: 256 * 1024 } as const;

export class ReplicatedStore implements Store, LogFollower {
  readonly #env: Env;
  readonly #nextTurn: () => Promise<void>;
  readonly #budget: TurnBudget;
  readonly #makeTables: () => Tables;
  readonly #restoreObjects: number;
  #tables: Tables;
  readonly #pipeline: Pipeline;
  readonly #session = new Session();
  readonly #listeners = new Set<(commit: Commit) => void>();
  #appliedIndex = 0;
  #restoring = false;

  constructor(options: StoreOptions) {
    const { env, log, defer = (run) => void setImmediate(run) } = options;
    const seal = options.freeze === true ? deepFreeze : <T>(object: T): T => object;
    this.#env = env;
    this.#nextTurn = () => new Promise<void>((resolve) => defer(resolve));
    this.#budget = new TurnBudget(this.#nextTurn);
    this.#makeTables = () => makeTables(seal, new TaskRows(seal), this.#session);
    this.#restoreObjects = options.restoreObjects ?? RESTORE.objects;
    this.#tables = this.#makeTables();
    this.#pipeline = new Pipeline({ env, log, defer, onAbort: () => this.#dropOverlay() });
  }

  get appliedIndex(): number {
    return this.#appliedIndex;
  }

  /** What the tasks take: for metrics, and to find leaks. */
  get taskUsage(): TaskUsage {
    return this.#tables.tasks.usage();
  }

  view<T>(fn: (view: View) => T): T {
    return fn(this.#tables.committed);
  }

  head<T>(fn: (view: View) => T): T {
    return fn(this.#tables.head);
  }

  update<T>(fn: (tx: Transaction) => T): Promise<T> {
    const session = this.#session;
    session.open(this.#pipeline.begin(), this.#env.nowMs());
    try {
      const result = fn(this.#tables.transaction);
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

  /**
   * Resolves when all that was written so far is committed.
   * @throws StoreError LEADERSHIP_LOST, as a rejection, when it may never be
   */
  settled(): Promise<void> {
    return this.#pipeline.settled();
  }

  batch<I>(
    items: Iterable<I>,
    each: (tx: Transaction, item: I) => void,
    failed?: (item: I, error: unknown) => void,
  ): Promise<void> {
    const host = {
      env: this.#env,
      session: this.#session,
      transaction: () => this.#tables.transaction,
      pipeline: this.#pipeline,
      budget: this.#budget,
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
    assert(!this.#restoring, `entry ${index} came while a snapshot was taken in`);
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
    this.#tables.tasks.settle();
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
    const slices = noteSnapshot(this.#tables);
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
   * (`snapshot`'s slices, or `readSnapshot`'s of one that came from elsewhere). It is made in turns of a
   * few milliseconds, in which everybody reads the former state, and is there at once. Listeners then
   * hear one commit with what differs (behaviour rule 2.5).
   * @throws WireError when the bytes are no snapshot; the former state stays
   */
  async restore(index: number, bodies: Iterable<Uint8Array>): Promise<void> {
    assert(this.#pipeline.idle, 'a snapshot came while own entries were in flight');
    assert(!this.#restoring, 'a snapshot came while another was taken in');
    this.#restoring = true;
    try {
      const old = this.#tables;
      const next = this.#makeTables();
      const changes: Change[] = [];
      await this.#inTurns(fill(next, old, bodies));
      // Whoever listens only from then on has seen nothing of the former state.
      if (this.#listeners.size > 0) await this.#inTurns(differences(next, old, changes));
      assert(this.#pipeline.idle, 'something was written while a snapshot was taken in');
      this.#tables = next;
      this.#appliedIndex = index;
      this.#publish(index, changes);
    } finally {
      this.#restoring = false;
    }
  }

  /** Carries work out that yields the bytes of each object, some objects in each turn. */
  async #inTurns(work: Iterable<number>): Promise<void> {
    let objects = 0;
    let bytes = 0;
    for (const more of work) {
      objects += 1;
      bytes += more;
      if (objects < this.#restoreObjects && bytes < RESTORE.bytes) continue;
      objects = 0;
      bytes = 0;
      await this.#nextTurn();
    }
  }

  #applyForeign(index: number, bytes: Uint8Array | undefined): void {
    if (bytes === undefined || bytes.length === 0) return;
    assert(this.#pipeline.idle, `entry ${index} came from elsewhere while own ones were in flight`);
    const changes: Change[] = [];
    for (const change of readEntry(bytes)) {
      changes.push(...this.#apply(change.action, change.kind, change.bytes));
    }
    this.#publish(index, changes);
    this.#tables.tasks.settle();
  }

  #apply(action: Action, kind: Kind, bytes: Uint8Array): readonly Change[] {
    const { cores, tasks } = this.#tables;
    const table = kind === 'task' ? tasks : cores[kind];
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
    const { cores, tasks } = this.#tables;
    for (const kind of OBJECT_KINDS) cores[kind].dropOverlay();
    tasks.dropOverlay();
  }
}
