/**
 * The engine against the oracle, over random lives of a small cluster: nodes that come, change and
 * go; tasks that are placed, confirmed, restored, stopped, failed, removed and refused.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FILTERS, type Explanation } from '../../../shared/lanes/placement.ts';
import { explanation, noSuitableNode } from './explain.ts';
import { Placer } from './placer.ts';
import { nodeFacts, profile } from './testing/fixtures.ts';
import { Oracle } from './testing/oracle.ts';

const NODES = 7;

const PROFILES = [
  profile(),
  profile({ nanoCpus: 9e8, memoryBytes: 3e8 }),
  profile({ memoryBytes: 2 ** 30 }),
  profile({ constraints: ['node.labels.zone==a'] }),
  profile({ constraints: ['node.labels.zone != a', 'node.role==worker'], nanoCpus: 1e9 }),
  profile({ spread: ['node.labels.zone'] }),
  profile({ spread: ['node.labels.zone', 'node.id', 'engine.labels.disk'], nanoCpus: 5e8 }),
  profile({ replicasMax: 2 }),
  profile({ hostPorts: [80, 81], spread: ['node.labels.zone'] }),
  profile({ hostPorts: [81], replicasMax: 1 }),
  profile({ generic: [{ kind: 'gpu', count: 2 }] }),
  profile({ generic: [{ kind: 'ssd', count: 3 }], runtime: 'process' }),
  profile({ platforms: [{ os: 'linux', architecture: 'amd64' }], runtime: 'docker' }),
  profile({ plugins: [{ type: 'Network', name: 'overlay' }] }),
] as const;

/** A few services that meet again and again, among many that are mostly new. */
const SERVICES = 60;
const BUSY_SERVICES = 5;

const facts = fc
  .record({
    available: fc.boolean().chain((first) => (first ? fc.constant(true) : fc.boolean())),
    nanoCpus: fc.constantFrom(0, 1e9, 2e9, 4e9),
    memoryBytes: fc.constantFrom(0, 2 ** 30, 4 * 2 ** 30),
    gpus: fc.constantFrom<readonly string[]>([], ['g1', 'g2', 'g3'], ['g3', 'g2', 'g4', 'g5']),
    ssds: fc.constantFrom(0, 3, 7),
    hasPlatform: fc.boolean(),
    plugins: fc.constantFrom(
      undefined,
      [],
      [{ type: 'Runtime', name: 'process' }],
      [{ type: 'Runtime', name: 'none' }],
      [
        { type: 'Runtime', name: 'docker' },
        { type: 'Network', name: 'overlay:latest' },
      ],
    ),
    zone: fc.constantFrom('a', 'b', 'c', ''),
    disk: fc.constantFrom('ssd', 'hdd'),
    role: fc.constantFrom('manager' as const, 'worker' as const),
  })
  .map(({ zone, disk, role, gpus, ssds, ...init }) => {
    const generic = [
      { kind: 'gpu', names: gpus, count: 0 },
      { kind: 'ssd', names: [], count: ssds },
    ];
    const labels: Record<string, string> = zone === '' ? {} : { zone };
    return nodeFacts({ ...init, generic }, { role, labels, engineLabels: { disk } });
  });

const node = fc.nat(NODES - 1);
const pick = fc.nat(1_000);
const shape = fc.oneof(
  fc.nat(PROFILES.length * BUSY_SERVICES - 1),
  fc.nat(PROFILES.length * SERVICES - 1),
);

const step = fc.oneof(
  { weight: 3, arbitrary: fc.record({ t: fc.constant('node' as const), node, facts }) },
  { weight: 1, arbitrary: fc.record({ t: fc.constant('nodeGone' as const), node }) },
  {
    weight: 8,
    arbitrary: fc.record({
      t: fc.constant('place' as const),
      shape,
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      t: fc.constant('alone' as const),
      profile: fc.nat(PROFILES.length - 1),
      service: fc.nat(SERVICES - 1),
      count: fc.integer({ min: 1, max: 9 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ t: fc.constant('confirm' as const), shape, node }) },
  {
    weight: 1,
    arbitrary: fc.record({ t: fc.constant('held' as const), shape, node, active: fc.boolean() }),
  },
  { weight: 2, arbitrary: fc.record({ t: fc.constant('inactive' as const), pick }) },
  {
    weight: 4,
    arbitrary: fc.record({
      t: fc.constant('failed' as const),
      pick,
      times: fc.integer({ min: 1, max: 8 }),
    }),
  },
  { weight: 4, arbitrary: fc.record({ t: fc.constant('gone' as const), pick }) },
  { weight: 2, arbitrary: fc.record({ t: fc.constant('refused' as const), pick }) },
  {
    weight: 8,
    arbitrary: fc.record({
      t: fc.constant('turn' as const),
      passedMs: fc.constantFrom(0, 200, 1_000, 60_000, 301_000),
      limit: fc.constantFrom(2, 100, 100, 100),
    }),
  },
);

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** Drives the engine and the oracle side by side, and compares them. */
class Pair {
  readonly placer = new Placer();
  readonly oracle = new Oracle();
  #nowMs = 1_000_000;
  #lastTurnMs = 0;
  #tasks = 0;
  readonly #told = new Map<number, string>();

  constructor() {
    PROFILES.forEach((known, number) => {
      this.placer.apply({ t: 'profile', profile: number, facts: known });
    });
    for (let number = 0; number < PROFILES.length * SERVICES; number++) {
      const [kind, service] = [number % PROFILES.length, Math.floor(number / PROFILES.length)];
      this.oracle.addShape(number, service, PROFILES[kind] ?? profile());
      this.placer.apply({
        t: 'shapes',
        shapes: Int32Array.of(number),
        services: Int32Array.of(service),
        profiles: Int32Array.of(kind),
      });
    }
  }

  run(next: Step): void {
    switch (next.t) {
      case 'node':
        this.oracle.nodes.set(next.node, next.facts);
        return this.placer.apply(next);
      case 'nodeGone':
        if (!this.oracle.nodes.has(next.node)) return;
        this.oracle.nodeGone(next.node);
        return this.placer.apply(next);
      case 'place':
        return this.#place(next.shape, next.count);
      case 'alone':
        // One task for each of some services in a row: mostly they are of none that has another.
        for (let i = 0; i < next.count; i++) {
          const service = (next.service + i) % SERVICES;
          this.#place(service * PROFILES.length + next.profile, 1);
        }
        return;
      case 'confirm':
        return this.#confirm(next.shape, next.node);
      case 'held':
        return this.#hold(next);
      case 'turn':
        return this.#turn(next.passedMs, next.limit);
      case 'inactive':
      case 'failed':
      case 'gone':
      case 'refused':
        return this.#change(next);
    }
  }

  #place(number: number, count: number): void {
    const tasks = Array.from({ length: count }, () => this.#tasks++);
    for (const task of tasks) this.oracle.place(task, number);
    const shapes = new Int32Array(count).fill(number);
    this.placer.apply({ t: 'place', tasks: Int32Array.from(tasks), shapes });
  }

  #confirm(number: number, on: number): void {
    const task = this.#tasks++;
    this.oracle.confirm(task, number, on);
    const columns = { tasks: Int32Array.of(task), shapes: Int32Array.of(number) };
    this.placer.apply({ t: 'confirm', ...columns, nodes: Int32Array.of(on) });
  }

  #hold({ shape: number, node: on, active }: Extract<Step, { t: 'held' }>): void {
    const task = this.#tasks++;
    this.oracle.hold(task, number, on, active);
    this.placer.apply({
      t: 'held',
      tasks: Int32Array.of(task),
      shapes: Int32Array.of(number),
      nodes: Int32Array.of(on),
      active: Uint8Array.of(active ? 1 : 0),
      claims: [],
    });
  }

  #change(next: Extract<Step, { t: 'inactive' | 'failed' | 'gone' | 'refused' }>): void {
    const any = [...this.oracle.tasks.values()];
    const held = any.filter((task) => task.state === 'held');
    const from = next.t === 'gone' ? any : held;
    const chosen = from[next.pick % Math.max(1, from.length)];
    if (chosen === undefined) return;
    const tasks = Int32Array.of(chosen.task);
    switch (next.t) {
      case 'inactive':
        chosen.active = false;
        return this.placer.apply({ t: 'inactive', tasks });
      case 'failed':
        for (let time = 0; time < next.times; time++) {
          this.oracle.fail(chosen.task, this.#nowMs);
          this.placer.apply({ t: 'failed', tasks, atMs: this.#nowMs });
        }
        break;
      case 'refused':
        this.oracle.refuse(chosen.task);
        this.#told.delete(chosen.task);
        return this.placer.apply({ t: 'refused', tasks });
      case 'gone':
        break;
    }
    this.oracle.tasks.delete(chosen.task);
    this.#told.delete(chosen.task);
    this.placer.apply({ t: 'gone', tasks });
  }

  #turn(passedMs: number, limit: number): void {
    this.#nowMs += passedMs;
    const outcome = this.placer.turn(this.#nowMs, limit);
    const expected = this.oracle.turn(this.#nowMs, limit);
    const decided = expected.map(({ task, node: on }) => [task, on]);
    assert.deepEqual(
      Array.from(outcome.tasks, (task, i) => [task, outcome.nodes[i]]),
      decided,
    );
    const claimed = expected.filter(({ claims }) => claims.length > 0);
    assert.deepEqual(
      outcome.claims,
      claimed.map(({ task, claims }) => ({ task, claims })),
    );
    for (const told of outcome.explanations) this.#hear(told);
    if (!outcome.hasMore) this.#checkTold(this.#nowMs - this.#lastTurnMs >= 1_000);
    this.#lastTurnMs = this.#nowMs;
    this.#checkNodes();
  }

  #hear(told: Explanation): void {
    for (const task of told.tasks) {
      assert.notEqual(this.#told.get(task), told.text, 'nobody is told the same twice');
      this.#told.set(task, told.text);
      const known = this.oracle.tasks.get(task);
      if (known?.state !== 'confirming') continue;
      const reasons = FILTERS.map((filter) => onOneNode(filter, known.shape.profile.runtime));
      assert.ok(reasons.includes(told.text));
    }
  }

  /** Every task that waits was told why; and, unless texts are held back, the latest reason. */
  #checkTold(isCurrent: boolean): void {
    for (const task of this.oracle.tasks.values()) {
      const text = this.#told.get(task.task);
      if (task.state === 'confirming') {
        const reason = this.oracle.reason(task.shape, task.node);
        assert.equal(text !== undefined, reason !== 'unknown' || text !== undefined);
      }
      if (task.state !== 'waiting') continue;
      assert.ok(text !== undefined, `task ${task.task} waits and was not told why`);
      if (!isCurrent) continue;
      const counts = this.oracle.counts(task.shape);
      const inOrder = FILTERS.map((filter) => counts.get(filter) ?? 0);
      assert.equal(text, noSuitableNode(inOrder, task.shape.profile.runtime));
    }
  }

  #checkNodes(): void {
    for (let on = 0; on < NODES; on++) {
      assert.equal(this.placer.activeTasks(on), this.oracle.activeTasks(on));
    }
  }
}

function onOneNode(filter: (typeof FILTERS)[number], runtime: string): string {
  return explanation(
    FILTERS.map((other) => (other === filter ? 1 : 0)),
    runtime,
  );
}

test('[PL50] the engine decides exactly as the oracle, and says why it does not', () => {
  fc.assert(
    fc.property(
      fc.array(facts, { minLength: NODES, maxLength: NODES }),
      fc.array(step, { maxLength: 80, size: 'max' }),
      (nodes, steps) => {
        const pair = new Pair();
        nodes.forEach((known, number) => pair.run({ t: 'node', node: number, facts: known }));
        for (const next of steps) pair.run(next);
        pair.run({ t: 'turn', passedMs: 1_000, limit: 100 });
      },
    ),
    { numRuns: 300 },
  );
});

test('[PL31] no node is given more than it has', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60, size: 'max' }), (steps) => {
      const pair = new Pair();
      const calm = steps.filter(
        ({ t }) => t === 'place' || t === 'alone' || t === 'gone' || t === 'turn',
      );
      const known = nodeFacts({ nanoCpus: 3e9, memoryBytes: 2 ** 31 }, { labels: { zone: 'a' } });
      for (let number = 0; number < NODES; number++) {
        pair.run({ t: 'node', node: number, facts: known });
      }
      for (const next of calm) pair.run(next);
      const held = [...pair.oracle.tasks.values()].filter(({ state }) => state === 'held');
      const ports = held.flatMap((task) =>
        task.shape.profile.hostPorts.map((port) => `${task.node}/${port}`),
      );
      assert.equal(new Set(ports).size, ports.length, 'one holder a port');
      for (const { node: on, shape: its } of held) {
        const free = pair.oracle.free(on);
        assert.ok(free.nanoCpus >= 0 && free.memoryBytes >= 0);
        const alike = held.filter((other) => other.node === on && other.shape === its);
        assert.ok(its.profile.replicasMax === 0 || alike.length <= its.profile.replicasMax);
      }
    }),
  );
});
