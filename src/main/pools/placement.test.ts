/** Placement from the store to the thread and back, with the real thread. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState, type GenericResource } from '../../shared/wire/gen/types.ts';
import { PlacementCluster } from './testing/placement-cluster.ts';

const reserving = (nanoCpus: number) => ({ task: { resources: { reservations: { nanoCpus } } } });

const gpus = (count: number): GenericResource => ({
  resource: { case: 'discreteResourceSpec', value: { kind: 'gpu', value: count } },
});
const gpu = (value: string): GenericResource => ({
  resource: { case: 'namedResourceSpec', value: { kind: 'gpu', value } },
});

test('[PL70] waiting tasks are assigned evenly, and say so', async () => {
  await using cluster = new PlacementCluster();
  await cluster.lead();
  for (const id of ['a', 'b', 'c']) await cluster.node(id);
  const ids = await cluster.tasks(await cluster.service({}), 6);
  await cluster.assigned(ids);
  assert.deepEqual(cluster.spread(ids), { a: 2, b: 2, c: 2 });
  cluster.row(ids[0] ?? '', (row) => {
    assert.equal(row.state, TaskState.ASSIGNED);
    assert.equal(row.message, 'scheduler assigned task to node');
    assert.equal(row.err, '');
    assert.ok(Math.abs(row.statusAtMs - Date.now()) < 60_000);
  });
  assert.deepEqual(cluster.errors, []);
});

test('[PL70] tasks without a service are placed each by what it asks for', async () => {
  await using cluster = new PlacementCluster();
  await cluster.node('small', {}, { nanoCpus: 1e9 });
  await cluster.node('large');
  await cluster.lead();
  const service = await cluster.service({});
  const alone = { serviceId: '', specVersion: undefined };
  const network = { id: 'n', driverState: { name: 'overlay' } };
  const described = { engine: { plugins: [{ type: 'Network', name: 'overlay' }] } };
  const few = await cluster.tasks(service, 2, alone);
  const many = await cluster.tasks(service, 2, { ...alone, spec: reserving(2e9).task });
  await cluster.assigned([...few, ...many]);
  assert.deepEqual(cluster.spread(many), { large: 2 });
  await cluster.node('networked', { description: { hostname: 'networked', ...described } });
  for (const id of ['small', 'large']) {
    const engine = { engine: { plugins: [] } };
    await cluster.changeNode(id, (node) => Node.create({ ...node, description: engine }));
  }
  const attached = await cluster.tasks(service, 2, { ...alone, networks: [{ network }] });
  await cluster.assigned(attached);
  assert.deepEqual(cluster.spread(attached), { networked: 2 }, 'the same spec, and a network');
  assert.deepEqual(cluster.errors, []);
});

test('[PL70] a task with a given node is confirmed when the node can take it', async () => {
  await using cluster = new PlacementCluster();
  await cluster.node('a', { status: { state: NodeStatusState.DOWN } });
  await cluster.lead();
  const [id = ''] = await cluster.tasks(await cluster.service({}), 1, { nodeId: 'a' });
  await cluster.told(id, '1 node not available for new tasks');
  assert.equal(
    cluster.row(id, (row) => row.message),
    'pending task scheduling',
  );
  const state = NodeStatusState.READY;
  await cluster.changeNode('a', (node) => ({ ...node, status: { ...node.status, state } }));
  await cluster.assigned([id]);
  cluster.row(id, (row) => {
    assert.equal(row.message, 'scheduler confirmed task can run on preassigned node');
    assert.equal(row.err, '');
  });
});

test('[PL70] what the head no longer allows is not written, and decided again', async () => {
  await using cluster = new PlacementCluster({ manual: true });
  const commit = async (done: Promise<unknown>): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    cluster.memory.commitAll();
    await done;
  };
  await commit(cluster.node('a'));
  await commit(cluster.node('b', {}, { nanoCpus: 1e9 }));
  const made = cluster.service({});
  await commit(made);
  await cluster.lead();
  const created = cluster.tasks(await made, 1);
  const drained = cluster.changeNode('a', (node) => ({
    ...node,
    spec: { ...node.spec, availability: NodeSpecAvailability.DRAIN },
  }));
  await new Promise((resolve) => setImmediate(resolve));
  // The task commits, while the drain of the best node is still on its way.
  cluster.memory.commitNext();
  const [id = ''] = await created;
  assert.equal(cluster.nodeOf(id), '');
  while (cluster.store.head((view) => view.tasks.get(id)?.nodeId) === '') {
    await new Promise((resolve) => setImmediate(resolve));
    if (cluster.memory.pending.length > 0) cluster.memory.commitNext();
  }
  await drained;
  assert.equal(
    cluster.store.head((view) => view.tasks.get(id)?.nodeId),
    'b',
  );
  cluster.memory.commitAll();
});

test('[PL70] tasks of a service that is gone get no node', async () => {
  await using cluster = new PlacementCluster();
  await cluster.lead();
  const gone = await cluster.service({});
  const [orphan = ''] = await cluster.tasks(gone, 1);
  await cluster.told(orphan, 'no suitable node');
  await cluster.store.update((tx) => tx.services.remove(gone));
  await cluster.node('a');
  const others = await cluster.tasks(await cluster.service({}), 3);
  await cluster.assigned(others);
  assert.equal(cluster.nodeOf(orphan), '');
});

test('[PL71] tasks that never got a node and are not wanted end at once', async () => {
  await using cluster = new PlacementCluster();
  await cluster.node('a', {}, { nanoCpus: 1 });
  const service = await cluster.service(reserving(2));
  const before = await cluster.tasks(service, 2, { desiredState: TaskState.SHUTDOWN });
  await cluster.lead();
  const after = await cluster.tasks(service, 2);
  const given = await cluster.tasks(service, 1, { nodeId: 'a' });
  await cluster.told(after[0] ?? '', 'no suitable node (insufficient resources on 1 node)');
  await cluster.told(given[0] ?? '', 'insufficient resources on 1 node');
  await cluster.service(reserving(1), service);
  await cluster.patch([...after, ...given], { desiredState: TaskState.REMOVE });
  const all = [...before, ...after, ...given];
  await cluster.until((view) =>
    all.every((id) => view.tasks.get(id)?.state === TaskState.SHUTDOWN),
  );
  for (const id of all) {
    assert.equal(
      cluster.row(id, (row) => row.err),
      '',
    );
  }
  await cluster.turn();
  assert.equal(cluster.pool?.stats().tasks, 0);
});

test('[PL71] a waiting task of an older version that is still wanted is placed', async () => {
  await using cluster = new PlacementCluster();
  await cluster.lead();
  const service = await cluster.service({});
  const ids = await cluster.tasks(service, 1);
  await cluster.told(ids[0] ?? '', 'no suitable node');
  await cluster.service({}, service);
  await cluster.node('a');
  await cluster.assigned(ids);
});

test('[PL72] a reason is written once, and goes when the task finds a node', async () => {
  await using cluster = new PlacementCluster();
  await cluster.node('a', {}, { nanoCpus: 1e9 });
  await cluster.lead();
  const [first = ''] = await cluster.tasks(await cluster.service(reserving(1e9)), 1);
  await cluster.assigned([first]);
  const [second = ''] = await cluster.tasks(await cluster.service(reserving(1e9)), 1);
  const text = 'no suitable node (insufficient resources on 1 node)';
  await cluster.told(second, text);
  const version = cluster.row(second, (row) => row.version);
  await cluster.unlead();
  await cluster.lead();
  await cluster.assigned(await cluster.tasks(await cluster.service({}), 1));
  assert.equal(
    cluster.row(second, (row) => row.version),
    version,
    'the same text is not written again by the next leader',
  );
  await cluster.store.update((tx) => tx.tasks.remove(first));
  await cluster.assigned([second]);
  assert.equal(
    cluster.row(second, (row) => row.err),
    '',
  );
});

test('[PL72] generic resources are written with the decision', async () => {
  await using cluster = new PlacementCluster();
  await cluster.node('a', {}, { generic: [gpu('x'), gpu('y'), gpu('z')] });
  await cluster.lead();
  const spec = { task: { resources: { reservations: { generic: [gpus(2)] } } } };
  const [first = ''] = await cluster.tasks(await cluster.service(spec), 1);
  await cluster.assigned([first]);
  const assigned = (id: string) => cluster.row(id, (row) => row.toTask().assignedGenericResources);
  assert.deepEqual(assigned(first), [gpu('x'), gpu('y')]);
  await cluster.pool?.kill();
  const one = { task: { resources: { reservations: { generic: [gpus(1)] } } } };
  const [second = ''] = await cluster.tasks(await cluster.service(one), 1);
  await cluster.assigned([second]);
  assert.deepEqual(assigned(second), [gpu('z')], 'a new thread knows the claims of the old');
});

test('[PL73] a thread that dies under load loses nothing and doubles nothing', async () => {
  await using cluster = new PlacementCluster();
  const names = Array.from({ length: 10 }, (_, n) => `n${n}`);
  for (const name of names) await cluster.node(name, {}, { nanoCpus: 300e9 });
  await cluster.lead();
  const assignments = new Map<string, string>();
  const stop = cluster.store.watch(({ changes }) => {
    for (const change of changes) {
      if (change.kind !== 'task' || change.object.nodeId === '') continue;
      const { id, nodeId } = change.object;
      assert.equal(assignments.get(id) ?? nodeId, nodeId, 'a task is never moved');
      assignments.set(id, nodeId);
    }
  });
  const service = await cluster.service(reserving(1e9));
  const ids: string[] = [];
  for (let round = 0; round < 6; round++) {
    ids.push(...(await cluster.tasks(service, 600)));
    if (round % 2 === 1) await cluster.pool?.kill();
  }
  const fits = 3_000;
  await cluster.until((view) => view.tasks.byState(TaskState.ASSIGNED).length === fits);
  const spread = cluster.spread(ids);
  assert.equal(spread[''], ids.length - fits);
  for (const name of names) assert.equal(spread[name], 300, name);
  const last = ids.find((id) => cluster.nodeOf(id) === '') ?? '';
  await cluster.told(last, 'no suitable node (insufficient resources on 10 nodes)');
  stop();
});

test('[PL74] a new leader knows what runs, and frees what ends', async () => {
  await using cluster = new PlacementCluster();
  await cluster.node('a', {}, { nanoCpus: 2e9 });
  const service = await cluster.service(reserving(1e9));
  const state = TaskState.RUNNING;
  const running = await cluster.tasks(service, 2, { nodeId: 'a', status: { state } });
  await cluster.lead();
  const [waiting = '', next = ''] = await cluster.tasks(service, 2);
  await cluster.told(waiting, 'no suitable node (insufficient resources on 1 node)');
  await cluster.patch([running[0] ?? ''], { desiredState: TaskState.SHUTDOWN });
  await cluster.patch([running[0] ?? ''], { state: TaskState.SHUTDOWN });
  await cluster.until((view) =>
    [waiting, next].some((id) => view.tasks.get(id)?.state === TaskState.ASSIGNED),
  );
  await cluster.store.update((tx) => tx.tasks.remove(running[1] ?? ''));
  await cluster.assigned([waiting, next]);
});

test('[PL74] nothing is remembered of what is gone', async () => {
  await using cluster = new PlacementCluster();
  await cluster.lead();
  await cluster.node('a');
  for (let round = 0; round < 3; round++) {
    const service = await cluster.service({});
    const ids = await cluster.tasks(service, 50);
    await cluster.assigned(ids);
    await cluster.store.update((tx) => tx.services.remove(service));
    await cluster.store.batch(ids, (tx, id) => tx.tasks.remove(id));
  }
  const [last = ''] = await cluster.tasks(await cluster.service({}), 1);
  await cluster.assigned([last]);
  assert.equal(cluster.pool?.stats().tasks, 1);
});

test('[PL75] after a stop nothing is decided', async () => {
  await using cluster = new PlacementCluster();
  await cluster.node('a');
  await cluster.lead();
  await cluster.assigned(await cluster.tasks(await cluster.service({}), 10));
  await cluster.unlead();
  const [id = ''] = await cluster.tasks(await cluster.service({}), 1);
  await cluster.patch([id], { desiredState: TaskState.SHUTDOWN });
  await cluster.turn();
  assert.equal(
    cluster.row(id, (row) => row.state),
    TaskState.PENDING,
  );
  assert.deepEqual(cluster.errors, []);
});
