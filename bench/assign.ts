/**
 * Placement through the store: from tasks that stand in the store PENDING to the commit, synced to the
 * disk, that makes the last of them ASSIGNED. Store, raft, log and the placement thread are real; the
 * group has one manager. The clock starts with the placement pool, as on a manager that has just come to
 * lead: it has to read the store, start its thread and tell it everything first. Where the nodes are
 * known before, the pool has been running, and the clock starts when the tasks are created.
 *
 * Each task is a group of its own, as in SwarmKit's scheduler benchmark, or all are of one service. All
 * tasks must be on a node, and on each node as many as on any other within one, before a figure is told.
 *
 * `npm run bench -- assign TEXT` measures the shapes whose name has the text, such as `1000 × 100000 one`.
 * With SKEIN_PROFILE set to a folder it writes profiles of the main thread there.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { testCluster } from '../src/main/ca/testing/identities.ts';
import { realEnv } from '../src/main/env.ts';
import { silentLog } from '../src/main/log.ts';
import { PlacementPool } from '../src/main/pools/placement.ts';
import { Role } from '../src/main/rpc/authorise.ts';
import type { ReplicatedStore } from '../src/main/store/store.ts';
import { Node, Service, type Task } from '../src/shared/wire/gen/objects.ts';
import { NodeStatusState, TaskState } from '../src/shared/wire/gen/types.ts';
import type { Init } from '../src/shared/wire/runtime.ts';
import type { Bench, Session } from './kit/bench.ts';
import { onDisk } from './raft/disk.ts';
import { startMember } from './raft/member.ts';
import { profiled } from './support/profile.ts';

type Shape = {
  readonly nodes: number;
  readonly tasks: number;
  /** One node in so many can run the tasks; a constraint says which. */
  readonly oneIn: number;
  /** Whether the thread knows the nodes before the clock starts. */
  readonly known?: boolean;
  readonly goalS?: number;
};

type Grouping = 'groups of one' | 'one service';

const PER_TRANSACTION = 200;
const SHAPES: Readonly<Record<'tiny' | 'short' | 'full', readonly Shape[]>> = {
  tiny: [
    { nodes: 12, tasks: 100, oneIn: 3 },
    { nodes: 12, tasks: 100, oneIn: 3, known: true },
  ],
  short: [
    { nodes: 1_000, tasks: 100_000, oneIn: 1, goalS: 1 },
    { nodes: 5_000, tasks: 100_000, oneIn: 3, goalS: 1 },
  ],
  full: [
    { nodes: 1_000, tasks: 100_000, oneIn: 1, goalS: 1 },
    { nodes: 5_000, tasks: 100_000, oneIn: 3, goalS: 1 },
    { nodes: 100_000, tasks: 1_000, oneIn: 1, known: true, goalS: 0.3 },
    { nodes: 100_000, tasks: 1_000_000, oneIn: 1, goalS: 20 },
  ],
};

function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let at = 0; at < items.length; at += PER_TRANSACTION) {
    yield items.slice(at, at + PER_TRANSACTION);
  }
}

async function addNodes(store: ReplicatedStore, { nodes, oneIn }: Shape): Promise<void> {
  const all = Array.from({ length: nodes }, (_, i) =>
    Node.create({
      id: realEnv.newId(),
      spec: { annotations: { name: `node-${i}`, labels: { fit: String(i % oneIn === 0) } } },
      status: { state: NodeStatusState.READY },
      description: { hostname: `node-${i}`, resources: { nanoCpus: 4e9, memoryBytes: 2 ** 33 } },
    }),
  );
  for (const chunk of chunks(all)) {
    await store.update((tx) => chunk.forEach((node) => tx.nodes.create(node)));
  }
}

const SPEC_VERSION = { index: 1 };

function taskSpec({ oneIn }: Shape): Init<Task>['spec'] {
  return {
    runtime: { case: 'container', value: { image: 'registry.example.org/team/web:1.2.3' } },
    placement: oneIn === 1 ? {} : { constraints: ['node.labels.fit==true'] },
  };
}

/** @returns the id of a service for all tasks, or '' when each is a group of its own */
async function addService(
  store: ReplicatedStore,
  shape: Shape,
  grouping: Grouping,
): Promise<string> {
  if (grouping !== 'one service') return '';
  const id = realEnv.newId();
  const spec = { annotations: { name: 'web' }, task: taskSpec(shape) };
  const made = Service.create({ id, spec, specVersion: SPEC_VERSION });
  await store.update((tx) => tx.services.create(made));
  return id;
}

async function addTasks(store: ReplicatedStore, shape: Shape, serviceId: string): Promise<void> {
  const template: Init<Task> = {
    serviceId,
    spec: taskSpec(shape),
    ...(serviceId === '' ? {} : { specVersion: SPEC_VERSION }),
    desiredState: TaskState.RUNNING,
    status: { state: TaskState.PENDING, message: 'pending task scheduling' },
  };
  const rows = Array.from({ length: shape.tasks }, (_, i) => {
    const id = realEnv.newId();
    return { id, slot: i + 1, nodeId: '', name: `web.${i + 1}.${id}` };
  });
  for (const chunk of chunks(rows)) {
    await store.update((tx) => tx.tasks.createMany(template, chunk));
  }
}

/** Starts the pool and waits until its thread knows all nodes: it decides nothing before. */
async function startKnowing(
  store: ReplicatedStore,
  pool: PlacementPool,
  shape: Shape,
): Promise<void> {
  await pool.start();
  const first = assigned(store, 1);
  await addTasks(store, { ...shape, tasks: 1 }, '');
  await first;
  await store.update((tx) => {
    for (const { id } of tx.tasks.all()) tx.tasks.remove(id);
  });
}

/** Resolves when so many tasks were assigned by commits. */
function assigned(store: ReplicatedStore, count: number): Promise<void> {
  const all = Promise.withResolvers<void>();
  let seen = 0;
  const stop = store.watch((commit) => {
    for (const change of commit.changes) {
      if (change.kind === 'task' && change.object.state === TaskState.ASSIGNED) seen++;
    }
    if (seen < count) return;
    stop();
    all.resolve();
  });
  return all.promise;
}

function check(store: ReplicatedStore, { nodes, tasks, oneIn }: Shape): void {
  store.view((view) => {
    const fit = [...view.nodes.all()].filter(
      (node) => node.spec.annotations.labels['fit'] === 'true',
    );
    assert.equal(fit.length, Math.ceil(nodes / oneIn));
    const counts = fit.map((node) => view.tasks.countByNode(node.id));
    assert.equal(
      counts.reduce((sum, count) => sum + count, 0),
      tasks,
    );
    assert.ok(Math.max(...counts) - Math.min(...counts) <= 1, 'the nodes are uneven');
  });
}

type Result = { readonly wallS: number; readonly mainCpuS: number };

async function round(shape: Shape, grouping: Grouping, file: string | undefined): Promise<Result> {
  const directory = await mkdtemp(join(onDisk(), 'skein-bench-assign-'));
  await using parts = new AsyncDisposableStack();
  parts.defer(() => rm(directory, { recursive: true }));
  const cluster = await testCluster();
  const { store } = parts.use(
    await startMember({
      directory: join(directory, 'leader'),
      nodeId: 'leader',
      organization: cluster.organization,
      credentials: await cluster.member('leader', Role.MANAGER),
    }),
  );
  await addNodes(store, shape);
  const serviceId = await addService(store, shape, grouping);
  const pool = new PlacementPool({ store, env: realEnv, log: silentLog });
  parts.defer(() => pool.stop());
  if (shape.known === true) await startKnowing(store, pool, shape);
  else await addTasks(store, shape, serviceId);
  globalThis.gc?.();
  const startMs = performance.now();
  const cpu = process.threadCpuUsage();
  await profiled(file, async () => {
    const done = assigned(store, shape.tasks);
    if (shape.known === true) await addTasks(store, shape, serviceId);
    else await pool.start();
    await done;
  });
  const used = process.threadCpuUsage(cpu);
  const wallS = (performance.now() - startMs) / 1000;
  check(store, shape);
  return { wallS, mainCpuS: (used.user + used.system) / 1e6 };
}

/** Where a profile of the main thread goes, if one is wanted; the last round's stays. */
function profileOf({ nodes, tasks }: Shape, grouping: Grouping): string | undefined {
  const folder = process.env['SKEIN_PROFILE'];
  const name = `assign-${nodes}-${tasks}-${grouping.replaceAll(' ', '-')}.cpuprofile`;
  return folder === undefined ? undefined : join(folder, name);
}

async function measure(session: Session, shape: Shape, grouping: Grouping): Promise<void> {
  const rounds = shape.tasks > 100_000 ? 1 : session.pick({ tiny: 1, short: 3, full: 3 });
  const results: Result[] = [];
  for (let i = 0; i < rounds; i++) {
    results.push(await round(shape, grouping, profileOf(shape, grouping)));
  }
  const fit = shape.oneIn === 1 ? '' : `, one in ${shape.oneIn} fit`;
  const known = shape.known === true ? ', known before' : '';
  const scenario = `${shape.nodes} nodes${fit}${known} × ${shape.tasks}, ${grouping}`;
  const label = { scenario, side: 'placement', unit: 's', better: 'less' } as const;
  const goal = shape.goalS === undefined ? undefined : { atMost: shape.goalS };
  session.record(
    { ...label, metric: 'wall', goal },
    results.map(({ wallS }) => wallS),
  );
  session.record(
    { ...label, metric: 'main cpu' },
    results.map(({ mainCpuS }) => mainCpuS),
  );
}

export const bench: Bench = {
  about: 'placement through the store and a synced log: PENDING to ASSIGNED [TEXT]',
  run: async (session) => {
    const [text = ''] = session.args;
    for (const shape of SHAPES[session.size]) {
      for (const grouping of ['groups of one', 'one service'] as const) {
        if (`${shape.nodes} × ${shape.tasks} ${grouping}`.includes(text)) {
          await measure(session, shape, grouping);
        }
      }
    }
  },
};
