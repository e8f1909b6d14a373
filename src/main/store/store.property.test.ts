/** The store against its slow twin: random transactions, commits, aborts, strangers' entries. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Node, Secret, Service, Task } from '../../shared/wire/gen/objects.ts';
import { InternalRaftRequest, StoreAction } from '../../shared/wire/gen/raft.ts';
import { StoreSnapshot } from '../../shared/wire/gen/snapshot.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { ReplicatedStore } from './store.ts';
import { TaskRows } from './rows/task-rows.ts';
import { MemoryLog } from './testing/memory-log.ts';
import {
  select,
  selectByIndex,
  selectTasks,
  SlowStore,
  type SlowChange,
  type SlowEvent,
  type SlowState,
} from './testing/slow-store.ts';
import { type Commit, StoreError, type TaskPatch, type Transaction } from './transaction.ts';
import type { ObjectKind, ObjectTable, TaskRow, View } from './view.ts';
import { ACTION, type Action } from './writes.ts';
import type { Stored } from './schema.ts';

const KINDS = ['node', 'service', 'secret', 'task'] as const;
type SomeKind = (typeof KINDS)[number];
const NAMES = ['web', 'WEB', 'db', 'D', 'x'] as const;
/** One of them a value that nobody knows. */
const STATES = [
  TaskState.NEW,
  TaskState.PENDING,
  TaskState.ASSIGNED,
  TaskState.RUNNING,
  77 as TaskState,
] as const;

/** One write; numbers choose among a few ids, names, nodes and the like. */
type Op = {
  readonly kind: SomeKind;
  readonly action: Action | 'patch' | 'many';
  readonly id: number;
  readonly a: number;
  readonly b: number;
  readonly stale: boolean;
};
type Step =
  | { readonly t: 'tx'; readonly ops: readonly Op[]; readonly fails: boolean }
  | { readonly t: 'flush' }
  | { readonly t: 'commit' }
  | { readonly t: 'abort' }
  | { readonly t: 'foreign'; readonly ops: readonly Op[] }
  | { readonly t: 'snapshot' }
  | { readonly t: 'draw' }
  | { readonly t: 'restore' };

const opArbitrary: fc.Arbitrary<Op> = fc.record({
  kind: fc.constantFrom('task', 'task', 'task', ...KINDS),
  action: fc.constantFrom('create', 'create', 'update', 'patch', 'patch', 'remove', 'many'),
  id: fc.nat(7),
  a: fc.nat(11),
  b: fc.nat(11),
  stale: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
const ops = fc.array(opArbitrary, { minLength: 1, maxLength: 6 });
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

const idOf = (kind: SomeKind, n: number): string => `${n % 3 === 0 ? 'aa' : 'ab'}${kind}${n}`;
const nodeOf = (n: number): string => (n % 4 === 0 ? '' : `node${n % 4}`);
const nameOf = (n: number): string => NAMES[n % NAMES.length] ?? '';
const indicesOf = (n: number) => (n % 2 === 0 ? [{ key: 'k', val: String(n % 4) }] : []);

function taskOf({ id, a, b }: Pick<Op, 'id' | 'a' | 'b'>): Task {
  return Task.create({
    id: idOf('task', id),
    serviceId: a % 3 === 0 ? '' : `service${a % 3}`,
    slot: b % 3,
    nodeId: nodeOf(b),
    desiredState: STATES[a % STATES.length]!,
    annotations: { name: `t.${id}`, labels: a % 2 === 0 ? { x: 'y' } : {} },
    serviceAnnotations: { name: `svc${a % 2}` },
    specVersion: b % 2 === 0 ? undefined : { index: b },
    logDriver: a % 5 === 0 ? { name: 'local' } : undefined,
    jobIteration: a % 4 === 0 ? { index: a } : undefined,
    spec: {
      runtime: {
        case: 'container',
        value: { image: `image${a % 2}`, secrets: a % 3 === 0 ? [{ secretId: 'sec' }] : [] },
      },
      networks: b % 4 === 0 ? [{ target: 'net' }, { target: 'net' }] : [],
    },
    status: statusOf(a, b),
    networks: a % 6 === 0 ? [{ addresses: ['10.0.0.1/24'] }] : [],
    endpoint: b % 6 === 0 ? { virtualIps: [{ networkId: 'n', addr: '1' }] } : undefined,
    volumes: b % 5 === 0 ? [{ id: 'v' }] : [],
  });
}

function statusOf(a: number, b: number) {
  return {
    state: STATES[b % STATES.length]!,
    message: a % 2 === 0 ? 'started' : '',
    err: b % 3 === 0 ? 'boom ö' : '',
    timestamp: a % 2 === 0 ? { seconds: a, nanos: b * 1_000_000 } : undefined,
    runtimeStatus:
      b % 2 === 0
        ? ({ case: 'container', value: { containerId: `c${a}`, pid: b } } as const)
        : undefined,
    portStatus: a % 4 === 1 ? { ports: [{ targetPort: 80 }] } : undefined,
    appliedBy: a % 3 === 0 ? 'manager' : '',
    appliedAt: b % 3 === 1 ? { seconds: 5, nanos: 0 } : undefined,
  };
}

function objectOf(op: Op): Stored {
  const { kind, a, b } = op;
  const id = idOf(kind, op.id);
  const annotations = { name: nameOf(a), indices: indicesOf(b) };
  switch (kind) {
    case 'task':
      return taskOf(op);
    case 'node':
      return Node.create({
        id,
        spec: { annotations, membership: a % 2 === 0 ? 1 : 0 },
        description: b % 3 === 0 ? undefined : { hostname: nameOf(b) },
        role: b % 2 === 0 ? 1 : 0,
      });
    case 'service': {
      const secrets = b % 2 === 0 ? [{ secretId: 'sec' }, { secretId: 'sec' }] : [];
      const runtime = { case: 'container', value: { secrets } } as const;
      const networks = a % 3 === 0 ? [{ target: 'net' }] : [];
      return Service.create({ id, spec: { annotations, task: { runtime }, networks } });
    }
    case 'secret':
      return Secret.create({ id, spec: { annotations } });
  }
}

function patchOf({ a, b }: Op): TaskPatch {
  const status = Task.create({ status: statusOf(b, a) }).status;
  const all: TaskPatch[] = [
    { nodeId: nodeOf(a), state: TaskState.ASSIGNED, message: 'assigned' },
    { desiredState: TaskState.SHUTDOWN },
    { status },
    { status, err: 'other' },
    { networks: Task.create({ networks: [{ addresses: [`${a}`] }] }).networks },
    { networks: [], endpoint: undefined },
    { endpoint: Task.create({ endpoint: { virtualIps: [{ addr: `${b}` }] } }).endpoint },
    {
      assignedGenericResources: [
        { resource: { case: 'discreteResourceSpec', value: { kind: 'gpu', value: 2 } } },
      ],
    },
    { err: '' },
  ];
  return all[a % all.length] ?? {};
}

function patched(task: Task, patch: TaskPatch): Task {
  const { status = task.status, state, message, err, ...rest } = patch;
  return {
    ...task,
    ...rest,
    status: {
      ...status,
      state: state ?? status.state,
      message: message ?? status.message,
      err: err ?? status.err,
    },
  };
}

const TABLE = { node: 'nodes', service: 'services', secret: 'secrets' } as const;

function run(tx: Transaction, change: SlowChange): void {
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
  readonly rows = new TaskRows();
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
    const { log, rows: tasks } = this;
    this.store = new ReplicatedStore({ env, log, defer, freeze: true, tasks });
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
      this.#compare(tx, state);
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
      context: never | { version: number; nowMs: number };
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
    return [{ change, perform: () => run(tx, change) }];
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

  #restore(): void {
    if (this.#taken === undefined) return;
    this.#abort();
    const { drawn, at } = this.#taken;
    const index = this.log.lastIndex + 10;
    this.log.compact(index);
    this.store.restore(index, drawn);
    const { committed } = this.twin;
    const expected = new Set<string>();
    for (const [key, object] of at) {
      const old = committed.get(key);
      if (old === undefined) expected.add(`create ${key}`);
      else if (old.meta.version.index !== object.meta.version.index) expected.add(`update ${key}`);
    }
    for (const key of committed.keys()) if (!at.has(key)) expected.add(`remove ${key}`);
    const heard = (this.#events as SlowEvent[]).map((e) => `${e.action} ${e.kind} ${e.object.id}`);
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
    this.store.view((view) => this.#compare(view, this.twin.committed));
    this.store.head((view) => this.#compare(view, this.twin.head()));
  }

  #compare(view: View, state: SlowState): void {
    for (const kind of ['node', 'service', 'secret'] as const) {
      compareObjects(view[TABLE[kind]], kind, state);
    }
    compareTasks(view, state);
  }

  async end(): Promise<void> {
    this.#abort();
    await this.#drawing?.slices.return(undefined);
    for (const { done, state } of this.#promises) {
      assert.equal(await done, state);
    }
    this.check();
    const ids = select(this.twin.committed, 'task').map((task) => task.id);
    const removed = this.store.update((tx) => ids.forEach((id) => tx.tasks.remove(id)));
    this.#flush();
    this.log.commitAll();
    await removed;
    const { allocatedBytes, ...usage } = this.rows.usage();
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

const byId = <T extends Stored>(objects: readonly T[]): T[] =>
  objects.toSorted((a, b) => (a.id < b.id ? -1 : 1));

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

function compareObjects(table: ObjectTable<ObjectKind>, kind: ObjectKind, state: SlowState): void {
  const all = select(state, kind);
  const same = (found: Iterable<Stored>, expected: readonly Stored[]): void =>
    assert.deepEqual(byId([...found]), expected);
  same(table.all() as Iterable<Stored>, all);
  assert.equal(table.size, all.length);
  for (let n = 0; n < 8; n += 1) {
    const id = idOf(kind as SomeKind, n);
    assert.deepEqual(table.get(id), state.get(`${kind} ${id}`));
  }
  const nameIn = (object: Stored): string | undefined =>
    kind === 'node'
      ? (object as Node).description?.hostname.toLowerCase()
      : (object as Service).spec.annotations.name.toLowerCase();
  for (const name of NAMES) {
    const named = all.filter((object) => nameIn(object) === name.toLowerCase());
    const found = table.byName(name);
    assert.equal(found === undefined, named.length === 0);
    if (found !== undefined) assert.ok(named.some((object) => object.id === found.id));
  }
  for (const prefix of ['', 'a', 'aa', 'ab', 'aas', 'b', 'abservice1', 'zz']) {
    same(
      table.byIdPrefix(prefix),
      all.filter(({ id }) => id.startsWith(prefix)),
    );
  }
  for (const prefix of ['', 'W', 'd', 'WE']) {
    const wanted = (object: Stored): boolean =>
      nameIn(object)?.startsWith(prefix.toLowerCase()) === true;
    same(table.byNamePrefix(prefix), all.filter(wanted));
  }
  for (const value of ['0', '2', '9']) {
    const wanted = (object: Stored): boolean =>
      (object as Service).spec.annotations.indices.some(({ val }) => val === value);
    same(table.byCustom('k', value), all.filter(wanted));
  }
  const indices: Record<string, readonly string[]> = {
    node: ['role 0', 'role 1', 'membership 1'],
    service: ['runtime container', 'secret sec', 'network net', 'network other'],
    secret: [],
  };
  for (const [index = '', key = ''] of (indices[kind] ?? []).map((text) => text.split(' '))) {
    same(table.find(index as never, key), selectByIndex(state, kind, { index, key }));
  }
}

function compareTasks({ tasks }: View, state: SlowState): void {
  const same = (rows: Iterable<TaskRow>, wanted: (task: Task) => boolean): void =>
    assert.deepEqual(byId(Array.from(rows, (row) => row.toTask())), selectTasks(state, wanted));
  same(tasks.all(), () => true);
  assert.equal(tasks.size, selectTasks(state, () => true).length);
  for (const service of ['', 'service1', 'service2', 'none']) {
    same(tasks.byService(service), (task) => task.serviceId === service);
    assert.equal(tasks.countByService(service), tasks.byService(service).length);
    for (const slot of [0, 1, 2]) {
      const wanted = (task: Task): boolean => task.serviceId === service && task.slot === slot;
      same(tasks.bySlot(service, slot), wanted);
    }
  }
  for (const node of ['', 'node1', 'node2', 'node3']) {
    same(tasks.byNode(node), (task) => task.nodeId === node);
    assert.equal(tasks.countByNode(node), tasks.byNode(node).length);
  }
  for (const some of [...STATES, TaskState.SHUTDOWN]) {
    same(tasks.byState(some as TaskState), (task) => task.status.state === some);
    same(tasks.byDesiredState(some as TaskState), (task) => task.desiredState === some);
  }
  same(tasks.byReference('network', 'net'), (task) => task.spec.networks.length > 0);
  same(tasks.byReference('config', 'sec'), () => false);
  same(
    tasks.byReference('secret', 'sec'),
    ({ spec }) => spec.runtime?.case === 'container' && spec.runtime.value.secrets.length > 0,
  );
  for (const prefix of ['', 'aa', 'abtask1', 'z']) {
    same(tasks.byIdPrefix(prefix), (task) => task.id.startsWith(prefix));
  }
  for (const row of tasks.all()) compareRow(row, state.get(`task ${row.id}`) as Task);
}

function compareRow(row: TaskRow, task: Task): void {
  assert.deepEqual(Task.decode(row.toBytes()), task);
  assert.deepEqual(row.status(), task.status);
  assert.deepEqual(
    [row.serviceId, row.nodeId, row.slot, row.state, row.desiredState, row.version],
    [
      task.serviceId,
      task.nodeId,
      task.slot,
      task.status.state,
      task.desiredState,
      task.meta.version.index,
    ],
  );
  assert.deepEqual(
    [row.specVersion, row.jobIteration, row.message, row.err, row.allocated],
    [
      task.specVersion?.index ?? -1,
      task.jobIteration?.index ?? -1,
      task.status.message,
      task.status.err,
      task.networks.length > 0 || task.endpoint !== undefined,
    ],
  );
  const { timestamp } = task.status;
  assert.equal(
    row.statusAtMs,
    timestamp === undefined ? 0 : timestamp.seconds * 1000 + timestamp.nanos / 1e6,
  );
}

test('[STO1] the store does what its slow twin does, on both views, in any order of events', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const run = new Run();
      for (const next of steps) {
        await run.step(next);
        run.check();
      }
      await run.end();
    }),
    { numRuns: 150 },
  );
});
