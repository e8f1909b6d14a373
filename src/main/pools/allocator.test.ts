import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Env } from '../../shared/kit/env.ts';
import { initialNetworkSpecs } from '../../shared/model/networks.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import {
  Cluster,
  Network,
  type NetworkAttachment,
  Node,
  Service,
  Task,
} from '../../shared/wire/gen/objects.ts';
import {
  EndpointSpecResolutionMode,
  NetworkSpec,
  ServiceSpec,
} from '../../shared/wire/gen/specs.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import { silentLog } from '../log.ts';
import { openMemoryStore } from '../store/testing/memory-log.ts';
import type { Store, Transaction } from '../store/transaction.ts';
import type { TaskRow, View } from '../store/view.ts';
import { AllocatorPool } from './allocator.ts';

const NOW_MS = 1_700_000_000_000;

function testEnv(): Env {
  let ids = 0;
  return { nowMs: () => NOW_MS, randBelow: () => 0, newId: () => `id${++ids}` };
}

/** Resolves as soon as the committed state is as the function says. */
async function until(store: Store, holds: (view: View) => boolean): Promise<void> {
  if (store.view(holds)) return;
  const { promise, resolve } = Promise.withResolvers<void>();
  const unwatch = store.watch(() => {
    if (store.view(holds)) resolve();
  });
  await promise;
  unwatch();
}

type Scene = {
  readonly store: Store;
  readonly pool: AllocatorPool;
  readonly env: Env;
} & AsyncDisposable;

/** A store with the networks of a new cluster, and an allocator that runs. */
async function open(setUp: (tx: Transaction) => void = () => undefined): Promise<Scene> {
  const env = testEnv();
  const { store } = openMemoryStore(env);
  await store.update((tx) => {
    tx.clusters.create(Cluster.create({ id: 'c', spec: { annotations: { name: 'default' } } }));
    for (const spec of initialNetworkSpecs()) {
      tx.networks.create(Network.create({ id: spec.annotations.name, spec }));
    }
    setUp(tx);
  });
  const pool = new AllocatorPool({ store, env, log: silentLog });
  await pool.start();
  return { store, pool, env, [Symbol.asyncDispose]: () => pool.stop() };
}

function network(id: string, init: Init<NetworkSpec> = {}): Network {
  return Network.create({
    id,
    spec: NetworkSpec.create({ annotations: { name: id }, ...init }),
  });
}

function subnetOf(id: string, subnet: string): Network {
  return network(id, { ipam: { configs: [{ subnet }] } });
}

function serviceSpec(
  networks: readonly string[],
  endpoint: Init<ServiceSpec>['endpoint'] = {},
): ServiceSpec {
  return ServiceSpec.create({
    annotations: { name: 'web' },
    task: { networks: networks.map((target) => ({ target, aliases: [`alias-${target}`] })) },
    endpoint,
  });
}

function createTasks(tx: Transaction, service: Service, ids: readonly string[]): void {
  for (const [i, id] of ids.entries()) {
    tx.tasks.create(
      Task.create({
        id,
        serviceId: service.id,
        slot: i + 1,
        spec: service.spec.task,
        specVersion: { index: 1 },
        desiredState: TaskState.RUNNING,
        status: { state: TaskState.NEW, message: 'created' },
      }),
    );
  }
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

function task(store: Store, id: string): Task {
  const row = store.view((view) => view.tasks.get(id)?.toTask());
  assert.ok(row !== undefined);
  return row;
}

function isIn(view: View, id: string, state: TaskState): boolean {
  return view.tasks.get(id)?.state === state;
}

function pendingCount(view: View): number {
  return view.tasks.byState(TaskState.PENDING).length;
}

function plainly(attachments: readonly NetworkAttachment[]): string[] {
  return attachments.map(({ network: on, addresses }) => `${on?.id} ${addresses.join(',')}`);
}

/** Every address that a live task, a node or a service holds, with its network. */
function heldAddresses(view: View): string[] {
  const rows: readonly TaskRow[] = [...view.tasks.all()];
  const live = rows.filter((row) => row.state > TaskState.NEW && row.state <= TaskState.RUNNING);
  const held = [
    ...live.flatMap((row) => plainly(row.toTask().networks)),
    ...[...view.nodes.all()].flatMap((node) => plainly(node.attachments)),
    ...[...view.services.all()].flatMap((service) =>
      (service.endpoint?.virtualIps ?? []).map((vip) => `${vip.networkId} ${vip.addr}`),
    ),
  ];
  // An attachment to a network of the node's own has no address.
  return held.filter((one) => !one.endsWith(' '));
}

function assertUnique(list: readonly string[]): void {
  assert.deepEqual(
    list.filter((one, i) => list.indexOf(one) !== i),
    [],
    'addresses with two holders',
  );
}

test('a new cluster gets its networks as a stock engine wants them', async () => {
  await using scene = await open();
  const { store } = scene;
  await until(store, (view) => [...view.networks.all()].every((n) => n.driverState !== undefined));
  const ingress = store.view((view) => view.networks.get('ingress'));
  assert.deepEqual(ingress?.driverState, {
    name: 'overlay',
    options: { 'com.docker.network.driver.overlay.vxlanid_list': '4096' },
  });
  assert.deepEqual(ingress?.ipam, {
    driver: { name: 'default', options: {} },
    configs: [{ family: 4, subnet: '10.0.0.0/24', range: '', gateway: '10.0.0.1', reserved: {} }],
  });
  const host = store.view((view) => view.networks.get('host'));
  assert.deepEqual(host?.driverState, { name: 'host', options: {} });
  assert.deepEqual(host?.ipam, { driver: { name: '', options: {} }, configs: [] });
});

test('a service on an overlay with published ports, and its tasks', async () => {
  await using scene = await open((tx) => tx.networks.create(network('front')));
  const { store } = scene;
  const endpoint = { ports: [{ targetPort: 80 }, { targetPort: 53, publishedPort: 53 }] };
  const spec = serviceSpec(['front', 'host', 'nowhere'], endpoint);
  const service = Service.create({ id: 's', spec });
  await store.update((tx) => {
    tx.nodes.create(Node.create({ id: 'n' }));
    tx.services.create(service);
    createTasks(tx, service, ['t1', 't2']);
  });
  await until(store, (view) => pendingCount(view) === 2);
  const stored = store.view((view) => view.services.get('s'));
  assert.deepEqual(stored?.endpoint?.spec, spec.endpoint);
  assert.deepEqual(
    stored?.endpoint?.ports.map((port) => port.publishedPort),
    [30_000, 53],
  );
  assert.deepEqual(stored?.endpoint?.virtualIps, [
    { networkId: 'ingress', addr: '10.0.0.3/24' },
    { networkId: 'front', addr: '10.0.1.2/24' },
  ]);
  const [one, two] = [task(store, 't1'), task(store, 't2')];
  assert.deepEqual(plainly(one.networks), ['ingress 10.0.0.4/24', 'front 10.0.1.3/24', 'host ']);
  assert.deepEqual(plainly(two.networks), ['ingress 10.0.0.5/24', 'front 10.0.1.4/24', 'host ']);
  assert.deepEqual(
    one.networks.map(({ aliases }) => aliases),
    [[], ['alias-front'], ['alias-host']],
  );
  assert.equal(one.networks[1]?.network?.driverState?.name, 'overlay');
  assert.equal(one.networks[2]?.network?.driverState?.name, 'host');
  assert.deepEqual(one.endpoint, stored?.endpoint);
  assert.equal(one.status.message, 'pending task scheduling');
  assert.deepEqual(one.status.timestamp, { seconds: NOW_MS / 1000, nanos: 0 });
});

test('tasks that need no address go on at once, with the endpoint of their service', async () => {
  await using scene = await open();
  const { store } = scene;
  const ports = [{ targetPort: 80, publishedPort: 8080, publishMode: 1 as const }];
  const service = Service.create({ id: 's', spec: serviceSpec([], { ports }) });
  const bare = Service.create({ id: 'b', spec: { annotations: { name: 'bare' } } });
  await store.update((tx) => {
    tx.services.create(service);
    tx.services.create(bare);
    createTasks(tx, service, ['t1']);
    createTasks(tx, bare, ['t2']);
    tx.tasks.create(Task.create({ id: 'gone', serviceId: 'nobody', status: { state: 0 } }));
  });
  await until(store, (view) => pendingCount(view) === 2);
  assert.equal(task(store, 't1').endpoint?.ports[0]?.publishedPort, 8080);
  assert.deepEqual(task(store, 't1').networks, []);
  assert.equal(task(store, 't2').endpoint, undefined);
  assert.equal(store.view((view) => view.services.get('b'))?.endpoint, undefined);
  assert.equal(task(store, 'gone').status.state, TaskState.NEW);
});

test('an attachment task gets the address it asks for', async () => {
  await using scene = await open((tx) => tx.networks.create(network('front')));
  const { store } = scene;
  await store.update((tx) => {
    tx.tasks.create(
      Task.create({
        id: 't',
        nodeId: 'n',
        spec: { networks: [{ target: 'front', addresses: ['10.0.1.77'] }] },
        desiredState: TaskState.RUNNING,
        status: { state: TaskState.NEW },
      }),
    );
  });
  await until(store, (view) => pendingCount(view) === 1);
  assert.deepEqual(plainly(task(store, 't').networks), ['front 10.0.1.77/24']);
});

test('a full network is named on each waiting task, and what is freed is given at once', async () => {
  await using scene = await open((tx) => tx.networks.create(subnetOf('small', '10.9.0.0/29')));
  const { store } = scene;
  const spec = serviceSpec(['small'], { mode: EndpointSpecResolutionMode.DNSRR });
  const service = Service.create({ id: 's', spec });
  await store.update((tx) => {
    tx.services.create(service);
    createTasks(tx, service, names('t', 7));
  });
  const why = 'could not find an available IP: no free address in network small (6 of 6 in use)';
  await until(store, (view) => {
    const waiting = view.tasks.byState(TaskState.NEW);
    return waiting.length === 2 && waiting.every((row) => row.err === why);
  });
  await store.update((tx) => {
    tx.tasks.patch('t0', { state: TaskState.FAILED });
    tx.tasks.remove('t1');
  });
  await until(
    store,
    (view) => isIn(view, 't5', TaskState.PENDING) && isIn(view, 't6', TaskState.PENDING),
  );
  assert.equal(task(store, 't6').status.err, '');
  assertUnique(store.view(heldAddresses));
});

test('tasks that were never placed and are no longer wanted end, and hold nothing', async () => {
  await using scene = await open((tx) => tx.networks.create(subnetOf('small', '10.9.0.0/30')));
  const { store } = scene;
  const spec = serviceSpec(['small'], { mode: EndpointSpecResolutionMode.DNSRR });
  const service = Service.create({ id: 's', spec });
  await store.update((tx) => {
    tx.services.create(service);
    createTasks(tx, service, ['t1', 't2', 't3']);
  });
  await until(store, (view) => view.tasks.byState(TaskState.NEW).every((row) => row.err !== ''));
  await store.update((tx) => tx.tasks.patch('t2', { desiredState: TaskState.SHUTDOWN }));
  await until(store, (view) => isIn(view, 't2', TaskState.SHUTDOWN));
  assert.equal(task(store, 't2').status.err, '');
  await store.update((tx) => tx.tasks.patch('t1', { state: TaskState.COMPLETE }));
  await until(store, (view) => isIn(view, 't3', TaskState.PENDING));
});

function nodeAttachments(view: View): readonly NetworkAttachment[] {
  return view.nodes.get('n')?.attachments ?? [];
}

test('nodes are attached where their tasks are, and no longer', async () => {
  await using scene = await open((tx) => tx.networks.create(network('front')));
  const { store } = scene;
  const service = Service.create({ id: 's', spec: serviceSpec(['front']) });
  await store.update((tx) => {
    tx.nodes.create(Node.create({ id: 'n' }));
    tx.services.create(service);
    createTasks(tx, service, ['t1']);
  });
  await until(store, (view) => pendingCount(view) === 1);
  await until(store, (view) => nodeAttachments(view).length === 1);
  await store.update((tx) => tx.tasks.patch('t1', { nodeId: 'n', state: TaskState.ASSIGNED }));
  await until(store, (view) => nodeAttachments(view).length === 2);
  assert.deepEqual(
    store.view((view) => plainly(nodeAttachments(view))),
    ['ingress 10.0.0.2/24', 'front 10.0.1.4/24'],
  );
  assert.equal(store.view(nodeAttachments)[1]?.network?.driverState?.name, 'overlay');
  await store.update((tx) => tx.tasks.patch('t1', { state: TaskState.FAILED }));
  await until(store, (view) => nodeAttachments(view).length === 1);
});

test('a change of the spec keeps what it still wants; DNSRR frees the VIPs', async () => {
  await using scene = await open((tx) => tx.networks.create(network('front')));
  const { store } = scene;
  const endpoint = { ports: [{ targetPort: 80 }] };
  const service = Service.create({ id: 's', spec: serviceSpec(['front'], endpoint) });
  await store.update((tx) => tx.services.create(service));
  await until(store, (view) => view.services.get('s')?.endpoint !== undefined);
  const first = store.view((view) => view.services.get('s'));
  const change = (spec: ServiceSpec): Promise<void> =>
    store.update((tx) => {
      const now = tx.services.get('s');
      assert.ok(now !== undefined);
      tx.services.update({ ...now, spec });
    });
  const more = { ports: [{ targetPort: 80 }, { targetPort: 81 }] };
  await change(serviceSpec(['front'], more));
  await until(store, (view) => view.services.get('s')?.endpoint?.ports.length === 2);
  const second = store.view((view) => view.services.get('s'));
  assert.deepEqual(second?.endpoint?.virtualIps, first?.endpoint?.virtualIps);
  assert.equal(second?.endpoint?.ports[0]?.publishedPort, 30_000);
  await change(serviceSpec(['front'], { mode: EndpointSpecResolutionMode.DNSRR }));
  await until(store, (view) => view.services.get('s')?.endpoint?.virtualIps.length === 0);
});

test('the next leader changes nothing of what the store holds, and goes on from it', async () => {
  const scene = await open((tx) => tx.networks.create(network('front')));
  const { store, env } = scene;
  const endpoint = { ports: [{ targetPort: 80 }] };
  const service = Service.create({ id: 's', spec: serviceSpec(['front', 'host'], endpoint) });
  await store.update((tx) => {
    for (const id of ['n1', 'n2']) tx.nodes.create(Node.create({ id }));
    tx.services.create(service);
    createTasks(tx, service, names('t', 20));
  });
  await until(store, (view) => pendingCount(view) === 20);
  await store.update((tx) => {
    for (const id of names('t', 10)) {
      tx.tasks.patch(id, { nodeId: 'n1', state: TaskState.RUNNING });
    }
  });
  await until(store, (view) => view.nodes.get('n1')?.attachments.length === 2);
  await scene.pool.stop();
  const before = store.view(heldAddresses);

  const touched = new Set<string>();
  const unwatch = store.watch(({ changes }) => {
    for (const { object } of changes) touched.add(object.id);
  });
  await using next = new AllocatorPool({ store, env, log: silentLog });
  await next.start();
  await store.update((tx) => createTasks(tx, service, ['late']));
  await until(store, (view) => isIn(view, 'late', TaskState.PENDING));
  unwatch();
  assert.deepEqual([...touched], ['late']);
  const after = store.view(heldAddresses);
  assertUnique(after);
  assert.equal(after.length, before.length + 2);
});

test('killed threads lose nothing and double nothing', async () => {
  await using scene = await open((tx) => tx.networks.create(subnetOf('front', '10.9.0.0/20')));
  const { store, pool } = scene;
  const endpoint = { ports: [{ targetPort: 80 }] };
  const service = Service.create({ id: 's', spec: serviceSpec(['front'], endpoint) });
  await store.update((tx) => {
    for (const id of ['n1', 'n2']) tx.nodes.create(Node.create({ id }));
    tx.services.create(service);
  });
  await until(store, (view) => view.services.get('s')?.endpoint !== undefined);
  const vips = store.view((view) => view.services.get('s')?.endpoint?.virtualIps);
  for (let round = 0; round < 4; round++) {
    await store.update((tx) => createTasks(tx, service, names(`r${round}-`, 40)));
    if (round % 2 === 0) await until(store, (view) => pendingCount(view) >= round * 30 + 5);
    await pool.engine.kill(0);
    await store.update((tx) => {
      for (const id of names(`r${round - 1}-`, 10)) {
        if (tx.tasks.get(id) !== undefined) tx.tasks.patch(id, { state: TaskState.FAILED });
      }
    });
  }
  await until(store, (view) => view.tasks.byState(TaskState.NEW).length === 0);
  assertUnique(store.view(heldAddresses));
  assert.equal(store.view(pendingCount), 160 - 30);
  assert.deepEqual(
    store.view((view) => view.services.get('s')?.endpoint?.virtualIps),
    vips,
  );
});

test('2,000 tasks come and go through a /24 and leave nothing behind', async () => {
  await using scene = await open((tx) => tx.networks.create(subnetOf('front', '10.9.0.0/24')));
  const { store } = scene;
  const spec = serviceSpec(['front'], { mode: EndpointSpecResolutionMode.DNSRR });
  const service = Service.create({ id: 's', spec });
  await store.update((tx) => tx.services.create(service));
  for (let round = 0; round < 10; round++) {
    await store.update((tx) => createTasks(tx, service, names(`${round}-`, 200)));
    await until(store, (view) => pendingCount(view) === 200);
    await store.update((tx) => {
      for (const id of names(`${round}-`, 200)) {
        if (round % 2 === 0) tx.tasks.remove(id);
        else tx.tasks.patch(id, { state: TaskState.COMPLETE });
      }
    });
  }
  // Every address but the gateway's is free: exactly 253 tasks fit.
  await store.update((tx) => createTasks(tx, service, names('last-', 254)));
  await until(store, (view) => {
    const waiting = view.tasks.byState(TaskState.NEW);
    return pendingCount(view) === 253 && waiting[0]?.err !== '';
  });
  assertUnique(store.view(heldAddresses));
});

test('how full the networks are is known', async () => {
  await using scene = await open((tx) => tx.networks.create(subnetOf('front', '10.9.0.0/29')));
  const { store, pool } = scene;
  await store.update((tx) => {
    tx.services.create(Service.create({ id: 's', spec: serviceSpec(['front']) }));
  });
  await until(store, (view) => view.services.get('s')?.endpoint !== undefined);
  const usage = await pool.usage();
  assert.deepEqual(
    [...usage],
    [
      ['ingress', { used: 1, total: 254 }],
      ['front', { used: 2, total: 6 }],
    ],
  );
});

test('a leader that is deposed in the middle stops in peace, and the next one goes on', async () => {
  const env = testEnv();
  const { store, log } = openMemoryStore(env, { manual: true });
  const service = Service.create({ id: 's', spec: serviceSpec(['front']) });
  const written = store.update((tx) => {
    tx.networks.create(network('front'));
    tx.services.create(service);
    createTasks(tx, service, names('t', 50));
  });
  while (log.pending.length === 0) await nextTurn();
  log.commitAll();
  await written;
  const first = new AllocatorPool({ store, env, log: silentLog });
  await first.start();
  while (log.pending.length === 0) await nextTurn();
  log.loseLeadership();
  await first.stop();
  assert.equal(store.view(pendingCount), 0);
  log.gainLeadership();
  await using next = new AllocatorPool({ store, env, log: silentLog });
  await next.start();
  while (store.view(pendingCount) < 50) {
    log.commitAll();
    await nextTurn();
  }
  assertUnique(store.view(heldAddresses));
});
