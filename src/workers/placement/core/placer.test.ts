/** The rules of SPEC.md one by one, on small clusters that can be checked by eye. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type {
  Explanation,
  GenericClaim,
  NodeFacts,
  Profile,
} from '../../../shared/lanes/placement.ts';
import { Placer } from './placer.ts';
import { nodeFacts, profile } from './testing/fixtures.ts';

/** An engine with words for what tests say most often. */
class Bench {
  readonly placer = new Placer();
  nowMs = 1_000_000;
  #shapes = 0;
  #tasks = 0;

  constructor(nodes: readonly NodeFacts[] = []) {
    nodes.forEach((facts, node) => this.placer.apply({ t: 'node', node, facts }));
  }

  node(node: number, facts: NodeFacts): void {
    this.placer.apply({ t: 'node', node, facts });
  }

  /** A shape with this profile, of the given service or one of its own. */
  shape(init: Partial<Profile> = {}, service?: number): number {
    const shape = this.#shapes++;
    this.placer.apply({ t: 'profile', profile: shape, facts: profile(init) });
    this.placer.apply({
      t: 'shapes',
      shapes: Int32Array.of(shape),
      services: Int32Array.of(service ?? 1_000 + shape),
      profiles: Int32Array.of(shape),
    });
    return shape;
  }

  place(shape: number, count = 1): number[] {
    const tasks = Array.from({ length: count }, () => this.#tasks++);
    const shapes = new Int32Array(count).fill(shape);
    this.placer.apply({ t: 'place', tasks: Int32Array.from(tasks), shapes });
    return tasks;
  }

  confirm(shape: number, node: number): number {
    const task = this.#tasks++;
    const columns = { tasks: Int32Array.of(task), shapes: Int32Array.of(shape) };
    this.placer.apply({ t: 'confirm', ...columns, nodes: Int32Array.of(node) });
    return task;
  }

  hold(shape: number, node: number, options: { isActive?: boolean; claims?: GenericClaim[] } = {}) {
    const task = this.#tasks++;
    const { isActive = true, claims = [] } = options;
    this.placer.apply({
      t: 'held',
      tasks: Int32Array.of(task),
      shapes: Int32Array.of(shape),
      nodes: Int32Array.of(node),
      active: Uint8Array.of(isActive ? 1 : 0),
      claims: [{ task, claims }],
    });
    return task;
  }

  end(t: 'gone' | 'inactive' | 'refused', ...tasks: number[]): void {
    this.placer.apply({ t, tasks: Int32Array.from(tasks) });
  }

  fail(task: number): void {
    this.placer.apply({ t: 'failed', tasks: Int32Array.of(task), atMs: this.nowMs });
    this.end('gone', task);
  }

  /** A turn, as the nodes of its decisions in order. */
  decide(limit?: number): number[] {
    return [...this.placer.turn(this.nowMs, limit).nodes];
  }

  /** A turn a second later, as the texts it says. */
  explain(): string[] {
    return this.told().map(({ text }) => text);
  }

  told(): readonly Explanation[] {
    this.nowMs += 1_000;
    return this.placer.turn(this.nowMs).explanations;
  }
}

function platforms(os: string, architecture: string): Pick<Profile, 'platforms'> {
  return { platforms: [{ os, architecture }] };
}

function sorted(numbers: readonly number[]): number[] {
  return numbers.toSorted((a, b) => a - b);
}

/** Places one task of a profile on a cluster: the nodes that took it, or the reason. */
function outcome(init: Partial<Profile>, nodes: readonly NodeFacts[]): number | string {
  const bench = new Bench(nodes);
  bench.place(bench.shape(init));
  const { nodes: decided, explanations } = bench.placer.turn(bench.nowMs);
  return decided[0] ?? explanations[0]?.text ?? 'nothing was said';
}

test('[PL1] a node that is not available takes nothing', () => {
  const off = nodeFacts({ available: false });
  assert.equal(outcome({}, [off, nodeFacts()]), 1);
  assert.equal(outcome({}, [off]), 'no suitable node (1 node not available for new tasks)');
  assert.equal(outcome({}, [off, off]), 'no suitable node (2 nodes not available for new tasks)');
});

test('[PL2] reservations must be free, and only those that are made', () => {
  const small = nodeFacts({ nanoCpus: 1e9, memoryBytes: 100 });
  assert.equal(outcome({ nanoCpus: 1e9, memoryBytes: 100 }, [small]), 0);
  const text = 'no suitable node (insufficient resources on 1 node)';
  assert.equal(outcome({ nanoCpus: 1e9 + 1 }, [small]), text);
  assert.equal(outcome({ memoryBytes: 101 }, [small]), text);
  assert.equal(outcome({ generic: [{ kind: 'gpu', count: 1 }] }, [small]), text);
  const gpus = nodeFacts({ generic: [{ kind: 'gpu', names: [], count: 2 }] });
  assert.equal(outcome({ generic: [{ kind: 'gpu', count: 2 }] }, [small, gpus]), 1);
  const twice = [1, 2].map((count) => ({ kind: 'gpu', count }));
  assert.equal(outcome({ generic: twice }, [gpus]), text);

  const bench = new Bench([nodeFacts({ nanoCpus: 2e9 })]);
  const half = bench.shape({ nanoCpus: 5e8 });
  bench.place(half, 5);
  assert.equal(bench.decide().length, 4);
  bench.node(0, nodeFacts({ nanoCpus: 1e9 }));
  bench.place(bench.shape({ memoryBytes: 1 }));
  assert.deepEqual(bench.decide(), [0], 'short of processors, but only memory is asked for');
});

test('[PL3] plugins that the task names must be there', () => {
  const overlay = { plugins: [{ type: 'Network', name: 'overlay' }] };
  const missing = 'no suitable node (missing plugin on 1 node)';
  assert.equal(outcome(overlay, [nodeFacts({ plugins: [] })]), missing);
  assert.equal(outcome(overlay, [nodeFacts({ plugins: undefined })]), 0);
  for (const [name, want] of [
    ['overlay', 0],
    ['overlay:latest', 0],
    ['overlay:v1', missing],
    ['macvlan', missing],
  ] as const) {
    assert.equal(outcome(overlay, [nodeFacts({ plugins: [{ type: 'Network', name }] })]), want);
  }
  assert.equal(
    outcome(overlay, [nodeFacts({ plugins: [{ type: 'Log', name: 'overlay' }] })]),
    missing,
  );
  const gelf = { plugins: [{ type: 'Log', name: 'gelf' }] };
  assert.equal(outcome(gelf, [nodeFacts()]), 0, 'a node that lists no log plugin has them all');
  assert.equal(outcome(gelf, [nodeFacts({ plugins: [{ type: 'Log', name: 'syslog' }] })]), missing);
});

test('[PL4] a task goes only where the executor that it asks for exists', () => {
  const stock = nodeFacts({ plugins: [{ type: 'Network', name: 'overlay' }] });
  const both = nodeFacts({
    plugins: [
      { type: 'Runtime', name: 'process' },
      { type: 'Runtime', name: 'simulated' },
    ],
  });
  assert.equal(outcome({ runtime: 'docker' }, [both, stock]), 1);
  assert.equal(outcome({ runtime: 'process' }, [stock, both]), 1);
  assert.equal(outcome({ runtime: 'simulated' }, [stock, both]), 1);
  assert.equal(outcome({}, [both]), 0);
  assert.equal(
    outcome({ runtime: 'docker' }, [both]),
    'no suitable node (no docker runtime on 1 node)',
  );
  assert.equal(
    outcome({ runtime: 'process' }, [stock, stock]),
    'no suitable node (no process runtime on 2 nodes)',
  );
});

test('[PL4] a node that says it can run nothing gets nothing', () => {
  const none = nodeFacts({ plugins: [{ type: 'Runtime', name: 'none' }] });
  assert.equal(outcome({}, [none]), 'no suitable node (no runtime on 1 node)');
  assert.equal(outcome({}, [none, nodeFacts()]), 1);
});

test('[PL5] constraints must hold, and do not count when they do not parse', () => {
  const east = nodeFacts({}, { labels: { zone: 'east' } });
  assert.equal(outcome({ constraints: ['node.labels.zone==east'] }, [nodeFacts(), east]), 1);
  assert.equal(
    outcome({ constraints: ['node.labels.zone==west'] }, [nodeFacts(), east]),
    'no suitable node (scheduling constraints not satisfied on 2 nodes)',
  );
  assert.equal(outcome({ constraints: ['node.labels.zone==west', 'x'] }, [east]), 0);
});

test('[PL6] one of the platforms must be the node’s', () => {
  const arm = nodeFacts({}, { os: 'linux', architecture: 'aarch64' });
  const windows = nodeFacts({}, { os: 'windows', architecture: 'x86_64' });
  const nodes = [arm, windows];
  assert.equal(outcome(platforms('linux', 'arm64'), nodes), 0);
  assert.equal(outcome(platforms('windows', 'amd64'), nodes), 1);
  assert.equal(outcome(platforms('', 'amd64'), nodes), 1);
  assert.equal(outcome(platforms('linux', ''), nodes), 0);
  const unsupported = 'no suitable node (unsupported platform on 2 nodes)';
  assert.equal(outcome(platforms('linux', 'amd64'), nodes), unsupported);
  const unsaid = nodeFacts({ hasPlatform: false }, { os: '', architecture: '' });
  assert.equal(outcome(platforms('', ''), [unsaid, arm]), 1);
});

test('[PL7] a host port is held once on a node', () => {
  const bench = new Bench([nodeFacts(), nodeFacts()]);
  const web = bench.shape({ hostPorts: [80] });
  const [first = -1] = bench.place(web, 3);
  assert.deepEqual(bench.decide(), [0, 1]);
  assert.deepEqual(bench.explain(), []);
  bench.place(bench.shape({ hostPorts: [81] }));
  assert.deepEqual(bench.decide(), [0]);
  bench.end('gone', first);
  assert.deepEqual(bench.decide(), [0]);
});

test('[PL7] the text names the nodes whose port is taken', () => {
  const bench = new Bench([nodeFacts(), nodeFacts()]);
  bench.place(bench.shape({ hostPorts: [80] }), 3);
  assert.deepEqual(bench.explain(), [
    'no suitable node (host-mode port already in use on 2 nodes)',
  ]);
});

test('[PL8] max replicas bounds the active tasks of the service on a node', () => {
  const bench = new Bench([nodeFacts(), nodeFacts()]);
  const shape = bench.shape({ replicasMax: 1 }, 7);
  const [first = -1] = bench.place(shape, 3);
  const { nodes, explanations } = bench.placer.turn(bench.nowMs);
  assert.deepEqual([...nodes], [0, 1]);
  assert.deepEqual(
    explanations.map(({ text }) => text),
    ['no suitable node (max replicas per node limit exceed)'],
  );
  bench.end('inactive', first);
  assert.deepEqual(bench.decide(), [0], 'a task that is to end no longer counts');
});

test('[PL8] replicas of all versions of the service count', () => {
  const bench = new Bench([nodeFacts()]);
  bench.hold(bench.shape({}, 7), 0);
  bench.place(bench.shape({ replicasMax: 1 }, 7));
  assert.deepEqual(bench.decide(), []);
});

test('[PL10] fewest of the service, then fewest tasks, then most room, then the lowest number', () => {
  const bench = new Bench([nodeFacts({ nanoCpus: 2e9 }), nodeFacts(), nodeFacts()]);
  const other = bench.shape();
  const mine = bench.shape({}, 7);
  bench.place(mine);
  assert.deepEqual(bench.decide(), [1], 'the roomier ones first, then the lower number');
  bench.place(mine);
  assert.deepEqual(bench.decide(), [2]);
  bench.hold(other, 0);
  bench.hold(other, 0);
  bench.place(mine);
  assert.deepEqual(bench.decide(), [0], 'none of the service outweighs fewer tasks');
  bench.place(other);
  assert.deepEqual(bench.decide(), [1], 'none of the service on either: fewest tasks');
});

test('[PL11] five failures in five minutes make a node the last choice', () => {
  const bench = new Bench([nodeFacts(), nodeFacts()]);
  const shape = bench.shape({}, 7);
  bench.hold(bench.shape(), 1);
  for (let failures = 0; failures < 5; failures++) {
    const [task = -1] = bench.place(shape);
    assert.deepEqual(bench.decide(), [0]);
    bench.fail(task);
  }
  bench.place(shape, 2);
  assert.deepEqual(bench.decide(), [1, 1], 'even though it has a task already');
  bench.place(bench.shape({}, 7));
  assert.deepEqual(bench.decide(), [0], 'another version of the service is not tainted');
  bench.nowMs += 300_000;
  bench.place(shape);
  assert.deepEqual(bench.decide(), [0], 'five minutes later it is forgotten');
});

test('[PL11] failures of tasks whose node was given do not count, nor those of a former node', () => {
  const bench = new Bench([nodeFacts(), nodeFacts()]);
  const shape = bench.shape({}, 7);
  for (let failures = 0; failures < 6; failures++) {
    const task = bench.confirm(shape, 0);
    assert.deepEqual(bench.decide(), [0]);
    bench.fail(task);
  }
  for (let failures = 0; failures < 5; failures++) {
    const [task = -1] = bench.place(shape);
    assert.deepEqual(bench.decide(), [0]);
    bench.fail(task);
  }
  bench.placer.apply({ t: 'nodeGone', node: 0 });
  bench.node(0, nodeFacts());
  bench.place(shape);
  assert.deepEqual(bench.decide(), [0]);
});

test('[PL11] among tainted nodes the one with fewer failures is better, and taint parts branches', () => {
  const zones = ['a', 'b'].map((zone) => nodeFacts({}, { labels: { zone } }));
  for (const spread of [[], ['node.labels.zone']]) {
    const bench = new Bench(zones);
    const shape = bench.shape({ spread }, 7);
    for (const [node, failures] of [
      [0, 6],
      [1, 5],
    ] as const) {
      bench.node(1 - node, nodeFacts({ available: false }));
      for (let failed = 0; failed < failures; failed++) {
        const [task = -1] = bench.place(shape);
        assert.deepEqual(bench.decide(), [node]);
        bench.fail(task);
      }
      zones.forEach((facts, number) => bench.node(number, facts));
    }
    bench.place(shape);
    assert.deepEqual(bench.decide(), [1]);
  }
});

test('[PL12] replicas are even within one task, wherever they were before', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(6), { minLength: 1, maxLength: 12 }),
      fc.integer({ min: 1, max: 80 }),
      (before, count) => {
        const bench = new Bench(before.map(() => nodeFacts()));
        const shape = bench.shape({}, 7);
        const replicas = [...before];
        before.forEach((tasks, node) => {
          for (let task = 0; task < tasks; task++) bench.hold(shape, node);
        });
        bench.place(shape, count);
        for (const node of bench.decide()) replicas[node] = (replicas[node] ?? 0) + 1;
        const placedOn = replicas.filter((tasks, node) => tasks > (before[node] ?? 0));
        assert.ok(Math.max(...placedOn) - Math.min(...replicas) <= 1);
      },
    ),
  );
});

test('[PL13] tasks spread evenly over label values before nodes', () => {
  const zones = ['a', 'a', 'b'].map((zone) => nodeFacts({}, { labels: { zone } }));
  const bench = new Bench(zones);
  bench.place(bench.shape({ spread: ['node.labels.zone'] }), 4);
  assert.deepEqual(sorted(bench.decide()), [0, 1, 2, 2]);
});

test('[PL13] tasks in a branch count even on nodes that take no more', () => {
  const zones = ['a', 'a', 'b'].map((zone) => nodeFacts({}, { labels: { zone } }));
  const bench = new Bench(zones);
  const shape = bench.shape({ spread: ['node.labels.zone'] }, 7);
  for (let task = 0; task < 3; task++) bench.hold(shape, 0);
  bench.node(0, nodeFacts({ available: false }, { labels: { zone: 'a' } }));
  bench.place(shape, 4);
  assert.deepEqual(bench.decide(), [2, 2, 2, 1]);
});

test('[PL13] between branches with equally many, the one with the better node', () => {
  const zones = ['a', 'b', 'c'].map((zone) => nodeFacts({}, { labels: { zone } }));
  const bench = new Bench(zones);
  for (let service = 0; service < 6; service++) {
    bench.place(bench.shape({ spread: ['node.labels.zone'] }));
  }
  assert.deepEqual(bench.decide(), [0, 1, 2, 0, 1, 2]);
});

test('[PL14] a full branch gives its share to the others; unknown descriptors are skipped', () => {
  const small = nodeFacts({ nanoCpus: 1e9 }, { engineLabels: { rack: 'a' } });
  const bench = new Bench([small, nodeFacts({}, { engineLabels: { rack: 'b' } }), nodeFacts()]);
  const spread = ['node.hostname', 'engine.labels.rack', 'nonsense'];
  bench.place(bench.shape({ nanoCpus: 1e9, spread }), 7);
  assert.deepEqual(sorted(bench.decide()), [0, 1, 1, 1, 2, 2, 2]);
});

test('[PL14] levels nest: each branch is even inside', () => {
  const nodes = ['a1', 'a1', 'a2', 'b1'].map((place) =>
    nodeFacts({}, { labels: { zone: place.slice(0, 1), rack: place.slice(1) } }),
  );
  const bench = new Bench(nodes);
  bench.place(bench.shape({ spread: ['node.labels.zone', 'node.labels.rack'] }), 8);
  assert.deepEqual(sorted(bench.decide()), [0, 1, 2, 2, 3, 3, 3, 3]);
});

test('[PL15] names are claimed in the order in which the node lists them', () => {
  const gpus = { kind: 'gpu', names: ['z', 'a', 'm', 'b'], count: 0 };
  const disks = { kind: 'disk', names: [], count: 3 };
  const bench = new Bench([nodeFacts({ generic: [gpus, disks] })]);
  const generic = [
    { kind: 'gpu', count: 2 },
    { kind: 'disk', count: 1 },
  ];
  const [first = -1, second = -1] = bench.place(bench.shape({ generic }), 2);
  const disk = { kind: 'disk', names: [], count: 1 };
  assert.deepEqual(bench.placer.turn(bench.nowMs).claims, [
    { task: first, claims: [{ kind: 'gpu', names: ['z', 'a'], count: 0 }, disk] },
    { task: second, claims: [{ kind: 'gpu', names: ['m', 'b'], count: 0 }, disk] },
  ]);
  bench.end('gone', first);
  const held = { kind: 'gpu', names: ['a'], count: 0 };
  bench.hold(bench.shape(), 0, { claims: [held] });
  const [third = -1] = bench.place(bench.shape({ generic: [{ kind: 'gpu', count: 1 }] }));
  assert.deepEqual(bench.placer.turn(bench.nowMs).claims, [
    { task: third, claims: [{ kind: 'gpu', names: ['z'], count: 0 }] },
  ]);
});

test('[PL20] a task with a given node waits for that node, and is told its reason bare', () => {
  const full = nodeFacts({ nanoCpus: 1e9 });
  const bench = new Bench([full, nodeFacts()]);
  const shape = bench.shape({ nanoCpus: 1e9 });
  const holder = bench.hold(shape, 0);
  const task = bench.confirm(shape, 0);
  const outcomeBefore = bench.placer.turn(bench.nowMs);
  assert.equal(outcomeBefore.tasks.length, 0);
  assert.deepEqual(
    outcomeBefore.explanations.map(({ tasks, text }) => [[...tasks], text]),
    [[[task], 'insufficient resources on 1 node']],
  );
  assert.deepEqual(bench.explain(), [], 'it is said once');
  bench.node(0, { ...full, available: false });
  assert.deepEqual(bench.explain(), ['1 node not available for new tasks']);
  bench.node(0, full);
  assert.deepEqual(bench.explain(), ['insufficient resources on 1 node']);
  bench.end('gone', holder);
  assert.deepEqual(bench.decide(), [0]);
});

test('[PL20] nothing is said of a node that is not known, and the task waits for it', () => {
  const bench = new Bench();
  bench.confirm(bench.shape(), 3);
  assert.deepEqual(bench.explain(), []);
  bench.node(3, nodeFacts());
  assert.deepEqual(bench.decide(), [3]);
});

test('[PL20] tasks with a given node come first', () => {
  const bench = new Bench([nodeFacts({ nanoCpus: 1e9 })]);
  const shape = bench.shape({ nanoCpus: 1e9 });
  bench.place(shape);
  const given = bench.confirm(shape, 0);
  assert.deepEqual([...bench.placer.turn(bench.nowMs).tasks], [given]);
});

test('[PL21] reasons stand in order of nodes, then of the pipeline', () => {
  const nodes = [
    nodeFacts({ nanoCpus: 0 }),
    nodeFacts({ nanoCpus: 0 }),
    nodeFacts({ available: false }),
    nodeFacts({}, { labels: { zone: 'a' } }),
  ];
  const constraints = ['node.labels.zone==b'];
  assert.equal(
    outcome({ nanoCpus: 1, constraints }, nodes),
    'no suitable node (insufficient resources on 2 nodes; 1 node not available for new tasks; ' +
      'scheduling constraints not satisfied on 1 node)',
  );
  assert.equal(outcome({}, []), 'no suitable node');
  const bench = new Bench(nodes);
  bench.place(bench.shape({ nanoCpus: 1, constraints }));
  assert.deepEqual([...(bench.told()[0]?.counts ?? [])], [1, 2, 0, 0, 1, 0, 0, 0]);
});

test('[PL22] a text is said once to each task, and at most once a second anew', () => {
  const bench = new Bench([nodeFacts({ nanoCpus: 0 })]);
  const shape = bench.shape({ nanoCpus: 1 });
  const first = bench.place(shape, 2);
  const [told] = bench.told();
  assert.deepEqual([...(told?.tasks ?? [])], first);
  assert.equal(told?.text, 'no suitable node (insufficient resources on 1 node)');
  assert.deepEqual(bench.told(), []);
  const second = bench.place(shape);
  assert.deepEqual([...(bench.told()[0]?.tasks ?? [])], second);

  bench.node(1, nodeFacts({ nanoCpus: 0 }));
  const saidAtMs = bench.nowMs;
  bench.told();
  bench.node(2, nodeFacts({ nanoCpus: 0 }));
  const soon = bench.placer.turn(bench.nowMs + 10);
  assert.deepEqual(soon.explanations, []);
  assert.equal(soon.wakeAtMs, saidAtMs + 2_000);
  const later = bench.placer.turn(saidAtMs + 2_000);
  assert.equal(later.explanations[0]?.text, 'no suitable node (insufficient resources on 3 nodes)');
  assert.equal(later.explanations[0]?.tasks.length, 3);
  assert.equal(later.wakeAtMs, undefined);
});

test('[PL23] a waiting task is tried again at every release and at every change of a node', () => {
  const tight = nodeFacts({ nanoCpus: 1e9 });
  const bench = new Bench([tight]);
  const whole = bench.shape({ nanoCpus: 1e9 });
  const holder = bench.hold(whole, 0);
  const stopping = bench.hold(bench.shape({ memoryBytes: 8 * 2 ** 30 }), 0, { isActive: false });
  bench.place(whole);
  bench.place(bench.shape({ memoryBytes: 1 }));
  assert.deepEqual(bench.decide(), []);
  bench.end('gone', holder);
  assert.deepEqual(bench.decide(), [0], 'another service left');
  bench.end('gone', stopping);
  assert.deepEqual(bench.decide(), [0], 'a task that was no longer active left');
  bench.place(bench.shape({ constraints: ['node.labels.new==yes'] }));
  assert.deepEqual(bench.decide(), []);
  bench.node(0, nodeFacts({}, { labels: { new: 'yes' } }));
  assert.deepEqual(bench.decide(), [0], 'a label was set');
  bench.place(bench.shape({ nanoCpus: 4e9 }));
  assert.deepEqual(bench.decide(), []);
  bench.node(1, nodeFacts());
  assert.deepEqual(bench.decide(), [1], 'a node joined');
});

test('[PL23] a waiting task that is gone is not placed', () => {
  const bench = new Bench([nodeFacts({ available: false })]);
  const shape = bench.shape();
  const [first = -1, second = -1, third = -1] = bench.place(shape, 3);
  const given = bench.confirm(shape, 0);
  bench.end('gone', second, given);
  bench.decide();
  bench.node(0, nodeFacts());
  assert.deepEqual([...bench.placer.turn(bench.nowMs).tasks], [first, third]);
});

test('[PL24] a refused decision is undone, and the task waits again', () => {
  const gpu = { kind: 'gpu', names: ['g'], count: 0 };
  const bench = new Bench([nodeFacts({ nanoCpus: 1e9, generic: [gpu] })]);
  const shape = bench.shape({
    nanoCpus: 1e9,
    generic: [{ kind: 'gpu', count: 1 }],
    hostPorts: [80],
    replicasMax: 1,
  });
  for (const enter of [() => bench.place(shape)[0] ?? -1, () => bench.confirm(shape, 0)]) {
    const task = enter();
    for (let time = 0; time < 3; time++) {
      assert.deepEqual([...bench.placer.turn(bench.nowMs).tasks], [task]);
      assert.equal(bench.placer.activeTasks(0), 1);
      bench.end('refused', task);
      assert.equal(bench.placer.activeTasks(0), 0);
    }
    bench.end('gone', task);
    bench.decide();
  }
});

test('[PL25] a turn makes so many decisions and no more', () => {
  const bench = new Bench([nodeFacts(), nodeFacts()]);
  bench.place(bench.shape(), 3);
  bench.place(bench.shape(), 2);
  const turns = [1, 2, 3].map(() => bench.placer.turn(bench.nowMs, 2));
  assert.deepEqual(
    turns.map(({ tasks, hasMore }) => [tasks.length, hasMore]),
    [
      [2, true],
      [2, true],
      [1, false],
    ],
  );
});

test('[PL30] a task that is to end keeps what it holds until it is gone', () => {
  const bench = new Bench([nodeFacts({ nanoCpus: 1e9 })]);
  const shape = bench.shape({ nanoCpus: 1e9 });
  const [task = -1] = bench.place(shape);
  bench.decide();
  bench.end('inactive', task);
  assert.equal(bench.placer.activeTasks(0), 0);
  bench.place(shape);
  assert.deepEqual(bench.decide(), []);
  bench.end('gone', task);
  assert.deepEqual(bench.decide(), [0]);
  assert.equal(bench.placer.activeTasks(0), 1);
});

test('[PL53] a service that is on most nodes goes on where it has least, then where there is least', () => {
  const bench = new Bench(Array.from({ length: 9 }, () => nodeFacts()));
  const shape = bench.shape();
  bench.place(shape, 8);
  assert.deepEqual(bench.decide(), [0, 1, 2, 3, 4, 5, 6, 7]);
  bench.hold(bench.shape(), 0);
  bench.place(shape, 3);
  assert.deepEqual(bench.decide(), [8, 1, 2]);
  bench.place(shape, 12);
  assert.deepEqual(bench.decide(), [3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5]);
});

test('[PL54] tasks of services that are nowhere go in the node order, whatever they spread over', () => {
  const zones = ['a', 'a', 'a', 'b'];
  const bench = new Bench(zones.map((zone) => nodeFacts({ nanoCpus: 2e9 }, { labels: { zone } })));
  const spread = { spread: ['node.labels.zone'], nanoCpus: 1e9 };
  for (let i = 0; i < 3; i++) bench.place(bench.shape(spread));
  assert.deepEqual(bench.decide(), [0, 1, 2]);
  bench.node(0, nodeFacts({ nanoCpus: 8e9 }, { labels: { zone: 'a' } }));
  for (let i = 0; i < 3; i++) bench.place(bench.shape(spread));
  assert.deepEqual(bench.decide(), [3, 0, 1], 'the emptiest first; then the roomiest');
  for (let i = 0; i < 9; i++) bench.place(bench.shape(spread));
  assert.deepEqual(bench.decide(), [2, 3, 0, 0, 0, 0, 0, 0], 'each as long as it has room');
});

test('[PL55] shapes with one profile are told together, unless replicas are limited', () => {
  const bench = new Bench([nodeFacts({ nanoCpus: 1e9 })]);
  bench.placer.apply({ t: 'profile', profile: 100, facts: profile({ nanoCpus: 2e9 }) });
  bench.placer.apply({ t: 'profile', profile: 101, facts: profile({ replicasMax: 1 }) });
  bench.placer.apply({
    t: 'shapes',
    shapes: Int32Array.of(101, 102, 103, 104, 105),
    services: Int32Array.of(1, 2, 3, 4, 5),
    profiles: Int32Array.of(100, 100, 100, 101, 101),
  });
  for (const shape of [101, 102, 103]) bench.place(shape, 2);
  const [told, ...more] = bench.told();
  assert.equal(told?.text, 'no suitable node (insufficient resources on 1 node)');
  assert.deepEqual([[...(told?.tasks ?? [])], more], [[0, 1, 2, 3, 4, 5], []]);
  bench.place(104, 2);
  bench.place(105, 1);
  assert.deepEqual(
    bench.decide(),
    [0, 0],
    'that one service has its most does not count for another',
  );
});

test('what main must not say is refused as a defect', () => {
  const bench = new Bench([nodeFacts()]);
  const shape = bench.shape();
  const [task = -1] = bench.place(shape);
  assert.throws(() => bench.placer.apply({ t: 'shapesGone', shapes: Int32Array.of(shape) }));
  assert.throws(() => bench.end('refused', task));
  assert.throws(() => bench.end('gone', 99));
  assert.throws(() => bench.place(99));
  assert.throws(() => bench.node(1 << 22, nodeFacts()));
});

test('[PL56] a service goes on where its last turn ended, unless something happened since', () => {
  const cluster = Array.from({ length: 5 }, () => nodeFacts({ nanoCpus: 3e9 }));
  const bench = new Bench(cluster);
  const service = 7;
  const shape = bench.shape({ nanoCpus: 1e9 }, service);
  bench.place(shape, 4);
  assert.deepEqual(bench.decide(3), [0, 1, 2]);
  assert.deepEqual(bench.decide(), [3]);
  bench.place(shape, 3);
  assert.deepEqual(bench.decide(2), [4, 0], 'on to the next level');
  bench.node(5, nodeFacts({ nanoCpus: 3e9 }));
  assert.deepEqual(bench.decide(), [5], 'a node came');
  const other = bench.shape({ nanoCpus: 2e9 });
  bench.place(other);
  assert.deepEqual(bench.decide(), [1], 'another service took a node');
  bench.place(shape, 2);
  assert.deepEqual(bench.decide(1), [2]);
  assert.deepEqual(bench.decide(1), [3]);
  const later = bench.shape({ nanoCpus: 1e9, constraints: ['node.id!=x'] }, service);
  bench.place(later, 2);
  assert.deepEqual(bench.decide(1), [4], 'another version of the service counts as the same');
  bench.place(shape);
  assert.deepEqual(sorted(bench.decide()), [0, 5]);
});

test('[PL10] a service is spread evenly while the cluster grows node by node', () => {
  const bench = new Bench();
  const other = bench.shape();
  const shape = bench.shape();
  for (let node = 0; node < 100; node++) {
    bench.node(node, nodeFacts());
    // The later a node comes, the emptier it is: only what the service has there speaks against it.
    for (let i = node; i < 100; i += 10) bench.hold(other, node);
    bench.place(shape, 2);
    assert.deepEqual(bench.decide(), [node, node]);
  }
  bench.place(shape, 200);
  const nodes = bench.decide();
  for (const half of [nodes.slice(0, 100), nodes.slice(100)]) assert.equal(new Set(half).size, 100);
});
