/** The store against its slow twin: random transactions, commits, aborts, strangers' entries. */
/* oxlint-disable typescript/no-unsafe-type-assertion -- generic over kinds, as the twin is */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import type { Task } from '../../shared/wire/gen/objects.ts';
import { InternalRaftRequest, type StoreAction } from '../../shared/wire/gen/raft.ts';
import { StoreSnapshot } from '../../shared/wire/gen/snapshot.ts';
import type { Stored } from './schema.ts';
import { ReplicatedStore } from './store.ts';
import { byId, comparePlaces, compareViews, TABLE } from './testing/compare-views.ts';
import { MemoryLog } from './testing/memory-log.ts';
import {
  idOf,
  nodeOf,
  objectOf,
  ops,
  patched,
  patchOf,
  taskOf,
  type Op,
} from './testing/random-writes.ts';
import {
  select,
  SlowStore,
  type SlowChange,
  type SlowEvent,
  type SlowState,
} from './testing/slow-store.ts';
import { type Commit, StoreError, type Transaction } from './transaction.ts';
import { ACTION } from './writes.ts';

type Step =
  | { readonly t: 'tx'; readonly ops: readonly Op[]; readonly fails: boolean }
  | { readonly t: 'flush' }
  | { readonly t: 'commit' }
  | { readonly t: 'abort' }
  | { readonly t: 'foreign'; readonly ops: readonly Op[] }
  | { readonly t: 'snapshot' }
  | { readonly t: 'draw' }
  | { readonly t: 'restore' };

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      t: fc.constant('tx' as const),
      ops,
      fails: fc.nat(5).map((n) => n === 0),
    }),
  },
  { weight: 4, arbitrary: fc.constant({ t: 'flush' as const }) },
  { weight: 4, arbitrary: fc.constant({ t: 'commit' as const }) },
  { weight: 1, arbitrary: fc.constant({ t: 'abort' as const }) },
  { weight: 1, arbitrary: fc.record({ t: fc.constant('foreign' as const), ops }) },
  { weight: 1, arbitrary: fc.constant({ t: 'snapshot' as const }) },
  { weight: 2, arbitrary: fc.constant({ t: 'draw' as const }) },
  { weight: 1, arbitrary: fc.constant({ t: 'restore' as const }) },
);

function write(tx: Transaction, change: SlowChange): void {
  const { kind, action, object } = change;
  if (kind === 'task') {
    if (action === 'remove') tx.tasks.remove(object.id);
    else tx.tasks[action](object as Task);
    return;
  }
  const table = tx[TABLE[kind as keyof typeof TABLE]];
  if (action === 'remove') table.remove(object.id);
  else (table[action] as (object: Stored) => void)(object);
}

class GivenUp extends Error {}

type Outcome = { done: Promise<string>; state: 'pending' | 'kept' | 'lost' };

class Run {
  readonly log = new MemoryLog({ manual: true });
  readonly twin = new SlowStore();
  readonly store: ReplicatedStore;
  #deferred: (() => void)[] = [];
  #nowMs = 1_700_000_000_000;
  #events: unknown[] = [];
  /** Promises with what is to become of them. */
  readonly #promises: Outcome[] = [];
  #inPack: Outcome[] = [];
  #inFlight: Outcome[][] = [];
  #drawing: { slices: AsyncGenerator<Uint8Array>; at: SlowState; drawn: Uint8Array[] } | undefined;
  #taken: { drawn: Uint8Array[]; at: SlowState } | undefined;

  constructor() {
    const env = { nowMs: () => this.#nowMs, randBelow: () => 3, newId: () => '' };
    const defer = (fn: () => void): void => void this.#deferred.push(fn);
    const { log } = this;
    this.store = new ReplicatedStore({ env, log, defer, freeze: true, restoreObjects: 2 });
    log.attach(this.store);
    this.store.watch(({ changes }) => {
      for (const change of changes) this.#events.push(plain(change));
    });
  }

  async step(next: Step): Promise<void> {
    this.#nowMs += 1234;
    switch (next.t) {
      case 'tx':
        return this.#transact(next.ops, next.fails);
      case 'flush':
        return this.#flush();
      case 'commit':
        return this.#commit();
      case 'abort':
        return this.#abort();
      case 'foreign':
        return this.#foreign(next.ops);
      case 'snapshot':
        await this.#drawing?.slices.return(undefined);
        this.#drawing = {
          slices: this.store.snapshot(),
          at: new Map(this.twin.committed),
          drawn: [],
        };
        return;
      case 'draw':
        return this.#draw();
      case 'restore':
        return this.#restore();
    }
  }

  #transact(list: readonly Op[], fails: boolean): void {
    const context = { version: this.log.lastIndex, nowMs: this.#nowMs };
    const state = this.twin.head();
    const made: SlowChange[] = [];
    const update = this.store.update((tx) => {
      for (const op of list) this.#op(tx, op, { state, made, context });
      compareViews(tx, state);
      if (fails) throw new GivenUp();
    });
    const done = update.then(
      () => 'kept',
      (error: unknown) => {
        if (error instanceof GivenUp || error instanceof StoreError) return 'lost';
        throw error;
      },
    );
    if (fails) {
      this.#promises.push({ done, state: 'lost' });
      return;
    }
    this.twin.pack.push(...made);
    const promise = { done, state: made.length === 0 ? ('kept' as const) : ('pending' as const) };
    this.#promises.push(promise);
    if (made.length > 0) this.#inPack.push(promise);
  }

  #op(
    tx: Transaction,
    op: Op,
    {
      state,
      made,
      context,
    }: {
      state: SlowState;
      made: SlowChange[];
      context: { version: number; nowMs: number };
    },
  ): void {
    for (const { change, perform } of this.#expand(tx, op, state)) {
      const expected = this.twin.attempt(state, change, context);
      if (typeof expected === 'string') {
        assert.throws(perform, (error) => error instanceof StoreError && error.code === expected);
        return;
      }
      perform();
      made.push(expected);
      state.set(`${expected.kind} ${expected.object.id}`, expected.object);
      if (expected.action === 'remove') state.delete(`${expected.kind} ${expected.object.id}`);
    }
  }

  #expand(
    tx: Transaction,
    op: Op,
    state: SlowState,
  ): { change: SlowChange; perform: () => void }[] {
    const { kind } = op;
    const id = idOf(kind, op.id);
    const stored = state.get(`${kind} ${id}`);
    if (kind === 'task' && op.action === 'many') return this.#many(tx, op, state);
    if (kind === 'task' && op.action === 'patch') {
      const patch = patchOf(op);
      const object = stored === undefined ? taskOf(op) : patched(stored as Task, patch);
      return [
        { change: { kind, action: 'update', object }, perform: () => tx.tasks.patch(id, patch) },
      ];
    }
    const action = op.action === 'patch' || op.action === 'many' ? 'update' : op.action;
    const version = op.stale ? 999_999 : (stored?.meta.version.index ?? 0);
    const fresh = objectOf(op);
    const object = { ...fresh, meta: { ...fresh.meta, version: { index: version } } };
    const change = { kind, action, object };
    return [{ change, perform: () => write(tx, change) }];
  }

  #many(tx: Transaction, op: Op, state: SlowState) {
    const template = taskOf(op);
    const rows = [0, 1, 2].map((n) => {
      const id = idOf('task', (op.id + n) % 8);
      return { id, slot: n, nodeId: nodeOf(op.a + n), name: `m.${n}` };
    });
    const perform = (): void => tx.tasks.createMany(template, rows);
    if (rows.some(({ id }) => state.has(`task ${id}`))) {
      assert.throws(perform, { code: 'EXISTS' });
      return [];
    }
    perform();
    return rows.map(({ name, ...row }) => {
      const annotations = { ...template.annotations, name };
      const object = { ...template, ...row, annotations };
      return {
        change: { kind: 'task' as const, action: 'create' as const, object },
        perform: () => undefined,
      };
    });
  }

  #flush(): void {
    for (const run of this.#deferred.splice(0)) run();
    if (this.twin.pack.length === 0) return;
    this.twin.entries.push(this.twin.pack);
    this.twin.pack = [];
    this.#inFlight.push(this.#inPack);
    this.#inPack = [];
  }

  #commit(): void {
    const changes = this.twin.entries.shift();
    if (changes === undefined) return;
    const entry = this.log.pending[0]!;
    this.#checkEntry(entry.bytes, changes);
    this.log.commitNext();
    for (const promise of this.#inFlight.shift() ?? []) promise.state = 'kept';
    this.#hear(this.twin.commit(changes));
  }

  #checkEntry(bytes: Uint8Array, changes: readonly SlowChange[]): void {
    const { action } = InternalRaftRequest.decode(bytes);
    assert.deepEqual(
      action,
      changes.map((change) => encodable(change)),
    );
  }

  #abort(): void {
    this.log.loseLeadership();
    this.log.gainLeadership();
    for (const promise of [...this.#inFlight.flat(), ...this.#inPack]) promise.state = 'lost';
    this.#inFlight = [];
    this.#inPack = [];
    this.twin.entries = [];
    this.twin.pack = [];
  }

  #foreign(list: readonly Op[]): void {
    this.#abort();
    const changes = list.map((op): SlowChange => {
      const version = { index: 1000 + op.a };
      const object = {
        ...objectOf(op),
        meta: { version, createdAt: undefined, updatedAt: { seconds: 7, nanos: 8 } },
      };
      const action = op.action === 'patch' || op.action === 'many' ? 'update' : op.action;
      return { kind: op.kind, action, object };
    });
    const request = { id: 1n, action: changes.map((change) => encodable(change)) };
    this.log.receive(InternalRaftRequest.encode(request));
    this.#hear(this.twin.apply(changes));
  }

  async #draw(): Promise<void> {
    if (this.#drawing === undefined) return;
    const next = this.#drawing.slices.next();
    await Promise.resolve();
    this.#deferred.splice(0).forEach((fn) => fn());
    if (this.twin.pack.length > 0) {
      this.twin.entries.push(this.twin.pack);
      this.twin.pack = [];
      this.#inFlight.push(this.#inPack);
      this.#inPack = [];
    }
    const result = await next;
    if (result.done !== true) {
      this.#drawing.drawn.push(result.value);
      return;
    }
    const { drawn, at } = this.#drawing;
    this.#drawing = undefined;
    const whole = StoreSnapshot.decode(Buffer.concat(drawn));
    assert.deepEqual(byId(whole.tasks), select(at, 'task'));
    assert.deepEqual(byId(whole.services), select(at, 'service'));
    assert.deepEqual(byId(whole.nodes), select(at, 'node'));
    assert.deepEqual(byId(whole.secrets), select(at, 'secret'));
    this.#taken = { drawn, at };
  }

  async #restore(): Promise<void> {
    if (this.#taken === undefined) return;
    this.#abort();
    const { drawn, at } = this.#taken;
    const index = this.log.lastIndex + 10;
    this.log.compact(index);
    const restored = this.store.restore(index, drawn);
    const { committed } = this.twin;
    for (let turns = 0; this.store.appliedIndex !== index; turns += 1) {
      assert(turns < 1000, 'the snapshot is never taken in');
      this.store.view((view) => compareViews(view, committed));
      for (const run of this.#deferred.splice(0)) run();
      await Promise.resolve();
    }
    await restored;
    const expected = new Set<string>();
    for (const [key, object] of at) {
      const old = committed.get(key);
      if (old === undefined) expected.add(`create ${key}`);
      else if (!isDeepStrictEqual(old, object)) expected.add(`update ${key}`);
    }
    for (const key of committed.keys()) if (!at.has(key)) expected.add(`remove ${key}`);
    const heard = (this.#events as readonly SlowEvent[]).map(
      (e) => `${e.action} ${e.kind} ${e.object.id}`,
    );
    assert.deepEqual(new Set(heard), expected);
    this.#events = [];
    committed.clear();
    for (const [key, object] of at) committed.set(key, object);
  }

  #hear(expected: readonly SlowEvent[]): void {
    assert.deepEqual(this.#events, expected);
    this.#events = [];
  }

  check(): void {
    assert.deepEqual(this.#events, []);
    this.store.view((view) => compareViews(view, this.twin.committed));
    this.store.view((view) => comparePlaces(view, this.twin.committed));
    this.store.head((view) => compareViews(view, this.twin.head()));
  }

  async end(): Promise<void> {
    this.#abort();
    await this.#drawing?.slices.return(undefined);
    // What was kept for one that nobody drew from goes when the next is taken.
    await this.step({ t: 'snapshot' });
    while (this.#drawing !== undefined) await this.#draw();
    for (const { done, state } of this.#promises) {
      assert.equal(await done, state);
    }
    this.check();
    const ids = select(this.twin.committed, 'task').map((task) => task.id);
    const removed = this.store.update((tx) => ids.forEach((id) => tx.tasks.remove(id)));
    this.#flush();
    this.log.commitAll();
    await removed;
    const { allocatedBytes, ...usage } = this.store.taskUsage;
    assert.deepEqual(usage, {
      rows: 0,
      values: 0,
      services: 0,
      nodes: 0,
      texts: 0,
      sharedParts: 0,
    });
    assert.ok(allocatedBytes >= 0);
  }
}

function encodable({ kind, action, object }: SlowChange): StoreAction {
  const target = { case: kind, value: object } as StoreAction['target'];
  return { action: ACTION[action], target };
}

/** An event without rows. */
function plain(change: Commit['changes'][number]): unknown {
  if (change.kind !== 'task') return change;
  if (change.action !== 'update') return { ...change, object: change.object.toTask() };
  return { ...change, object: change.object.toTask(), old: change.old.toTask() };
}

test('[STO1] [STO19] the store does what its slow twin does, on both views, in any order of events', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const run = new Run();
      for (const next of steps) {
        await run.step(next);
        run.check();
      }
      await run.end();
    }),
    { numRuns: 60 },
  );
});
