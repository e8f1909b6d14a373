/**
 * Threads die while they work: placement, allocator and controller threads are killed as services with
 * networks and ports are created, scaled and removed. No task fails or is made twice, nothing is given
 * out twice, and nothing is left in the end.
 */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { realEnv } from '../../src/main/env.ts';
import { silentLog } from '../../src/main/log.ts';
import type { Manager } from '../../src/main/manager/manager.ts';
import { Node } from '../../src/main/node/node.ts';
import { Channel, type ServiceClient } from '../../src/main/rpc/client.ts';
import type { Commit } from '../../src/main/store/transaction.ts';
import type { ExecutorChoice } from '../../src/shared/lanes/tasks.ts';
import { Random } from '../../src/shared/kit/random.ts';
import { NodeSpecAvailability, type ServiceSpec } from '../../src/shared/wire/gen/specs.ts';
import { TaskState } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import { describeTasks } from '../support/cluster.ts';
import { killMarked, programsWith } from '../support/programs.ts';
import { until } from '../support/until.ts';

const WORKERS = 4;
const NODES = 1 + WORKERS;
const THREADS = 2;
/** Replicas of the services on the overlay network, before and after they are scaled. */
const WIDE = [
  [700, 300],
  [300, 800],
  [500, 500],
  [0, 600],
] as const;
/** Replicas of the services with published ports, which share the ingress network's few addresses. */
const PORTED = [8, 12, 6, 10] as const;
const KILLS_PER_PHASE = 12;
const KILL_GAP_MS = 120;
const PATIENCE_MS = 60_000;
/** What a task says whose process was killed. */
const KILLED = 'task: non-zero exit (137)';

const replicated = (replicas: number) =>
  ({ case: 'replicated', value: { replicas: BigInt(replicas) } }) as const;

/** Counts what must never happen to a task, and how many were ever made. */
class Watch {
  created = 0;
  readonly wrong: string[] = [];

  readonly onCommit = (commit: Commit): void => {
    for (const change of commit.changes) {
      if (change.kind !== 'task') continue;
      const { id, state, err } = change.object;
      if (change.action === 'create') this.created += 1;
      const isBad = state === TaskState.FAILED || state > TaskState.SHUTDOWN;
      if (isBad && change.action !== 'remove')
        this.wrong.push(`${id} is in state ${state}: ${err}`);
      if (change.action === 'update' && state < change.old.state) {
        this.wrong.push(`${id} went back from ${change.old.state} to ${state}`);
      }
    }
  };
}

/** A manager and its workers in this process, so that their threads can be killed. */
class Cluster implements AsyncDisposable {
  readonly manager: Manager;
  readonly control: ServiceClient<'Control'>;
  readonly watch = new Watch();
  readonly #directory: string;
  readonly #channel: Channel;
  readonly #nodes: Node[];

  private constructor(directory: string, node: Node) {
    assert.ok(node.manager);
    this.manager = node.manager;
    this.#directory = directory;
    this.#nodes = [node];
    this.#channel = new Channel({ to: 'socket', path: join(directory, 'manager.sock') });
    this.control = this.#channel.service('Control');
    this.manager.store.watch(this.watch.onCommit);
  }

  /** As many workers as `executors`. */
  static async start(executors: readonly ExecutorChoice['kind'][]): Promise<Cluster> {
    const directory = mkdtempSync(join(tmpdir(), 'skein-threads-'));
    const cluster = new Cluster(directory, await startNode(directory, 'manager', undefined));
    const { clusters } = await cluster.control.ListClusters({});
    const token = clusters[0]?.rootCa.joinTokens.worker ?? '';
    for (const [i, kind] of executors.entries()) {
      const to = { address: cluster.manager.address, token, kind };
      cluster.#nodes.push(await startNode(directory, `worker-${i}`, to));
    }
    await Promise.all(cluster.#nodes.map((node) => node.ready));
    return cluster;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#channel.close();
    for (const node of this.#nodes.toReversed()) await node.stop();
    rmSync(this.#directory, { recursive: true });
  }

  /** Kills one thread of whatever kind. */
  async killOne(random: Random): Promise<void> {
    const { pools } = this.manager;
    assert.ok(pools);
    const kind = random.below(3);
    if (kind === 0) return pools.allocator.engine.kill(0);
    if (kind === 1) return pools.placement.kill();
    return this.killController(random);
  }

  async killController(random: Random): Promise<void> {
    const worker = this.#nodes[1 + random.below(this.#nodes.length - 1)];
    assert.ok(worker?.controllers);
    await worker.controllers.kill(random.below(THREADS));
  }

  /** How many threads each leader's place has had by now. */
  generations(): number[] {
    const { pools } = this.manager;
    assert.ok(pools);
    const [allocator] = pools.allocator.engine.stats();
    return [allocator?.generation ?? 0, pools.placement.stats().generation];
  }

  async create(spec: Init<ServiceSpec>, replicas: number): Promise<string> {
    const runtime = { case: 'container', value: { image: 'any' } } as const;
    const task = { runtime, ...spec.task };
    const request = { spec: { ...spec, task, mode: replicated(replicas) } };
    const { service } = await this.control.CreateService(request);
    assert.ok(service);
    return service.id;
  }

  /** The allocator also writes services: who comes too late asks again. */
  async scale(serviceId: string, replicas: number): Promise<void> {
    await until(`${serviceId} is scaled`, PATIENCE_MS, async () => {
      const { service } = await this.control.GetService({ serviceId });
      assert.ok(service);
      const spec = { ...service.spec, mode: replicated(replicas) };
      const serviceVersion = service.meta.version;
      return this.control.UpdateService({ serviceId, serviceVersion, spec });
    });
  }

  /** Resolves when there are exactly these tasks, one in each slot, all running; nothing else. */
  async settles(replicas: ReadonlyMap<string, number>): Promise<void> {
    const total = [...replicas.values()].reduce((sum, count) => sum + count, 0);
    const { store } = this.manager;
    const isSettled = (): boolean =>
      store.view(({ tasks }) => {
        if (tasks.size !== total) return false;
        return [...replicas].every(([serviceId, count]) => {
          const rows = tasks.byService(serviceId);
          const isRight = rows.every(
            (row) => row.state === TaskState.RUNNING && row.desiredState === TaskState.RUNNING,
          );
          return isRight && new Set(rows.map((row) => row.slot)).size === count;
        });
      });
    await until(`${total} tasks run`, PATIENCE_MS, isSettled).catch((error: unknown) => {
      throw new Error(`not in time: ${total} tasks run, and no other:\n${this.#astray()}`, {
        cause: error,
      });
    });
  }

  #astray(): string {
    return this.manager.store.view(({ tasks }) => {
      const rows = [...tasks.all()].filter(
        (row) => row.state !== TaskState.RUNNING || row.desiredState !== TaskState.RUNNING,
      );
      return `${tasks.size} tasks, ${rows.length} of them:\n${describeTasks(rows.map((row) => row.toTask()))}`;
    });
  }
}

type Joining = {
  readonly address: string;
  readonly token: string;
  readonly kind: ExecutorChoice['kind'];
};

function executorOf(kind: ExecutorChoice['kind'], stateDir: string): ExecutorChoice {
  if (kind === 'process') return { kind, stateDir };
  assert.equal(kind, 'simulated');
  return { kind: 'simulated', seed: 1 };
}

async function startNode(
  directory: string,
  hostname: string,
  to: Joining | undefined,
): Promise<Node> {
  const loopback = { host: '127.0.0.1', port: 0 };
  const { DRAIN, ACTIVE } = NodeSpecAvailability;
  return Node.start({
    stateDir: join(directory, hostname),
    hostname,
    join: to,
    availability: to === undefined ? DRAIN : ACTIVE,
    executor: to && executorOf(to.kind, join(directory, hostname)),
    taskThreads: THREADS,
    manager: {
      listen: loopback,
      advertise: loopback,
      controlSocket: join(directory, `${hostname}.sock`),
      tickMs: 1000,
    },
    env: realEnv,
    log: silentLog,
    onFatal: (error) => {
      throw error;
    },
  });
}

/** Everything that may be held once only: addresses of each network, and ports. */
function holdings(manager: Manager): string[] {
  return manager.store.view((view) => {
    const held: string[] = [];
    for (const row of view.tasks.all()) {
      for (const { network, addresses } of row.toTask().networks) {
        assert.ok(addresses.length > 0, `${row.id} has no address on ${network?.id}`);
        held.push(...addresses.map((address) => `${network?.id} ${address}`));
      }
    }
    for (const { attachments } of view.nodes.all()) {
      for (const { network, addresses } of attachments) {
        held.push(...addresses.map((address) => `${network?.id} ${address}`));
      }
    }
    for (const { endpoint } of view.services.all()) {
      for (const { networkId, addr } of endpoint?.virtualIps ?? []) {
        held.push(`${networkId} ${addr}`);
      }
      const ports = endpoint?.ports ?? [];
      held.push(...ports.map((port) => `port ${port.publishedPort}/${port.protocol}`));
    }
    return held;
  });
}

function checkHoldings(manager: Manager): void {
  const held = holdings(manager);
  assert.ok(held.length > 0);
  const twice = held.filter((one, i) => held.indexOf(one, i + 1) !== -1);
  assert.deepEqual(twice, [], 'what is held twice');
}

/** Addresses in use, by network. */
async function usage(manager: Manager): Promise<Map<string, number>> {
  assert.ok(manager.pools);
  const networks = await manager.pools.allocator.usage();
  return new Map([...networks].map(([id, { used }]) => [id, used]));
}

function seeded(t: TestContext): Random {
  const seed = BigInt(process.env['SKEIN_SEED'] ?? Date.now());
  t.diagnostic(`SKEIN_SEED=${seed}`);
  return new Random(seed);
}

test('killed placement, allocator and controller threads lose nothing', async (t) => {
  const random = seeded(t);
  await using cluster = await Cluster.start(Array.from({ length: WORKERS }, () => 'simulated'));
  const { control, manager, watch } = cluster;
  const replicas = new Map<string, number>();
  const kills = async (): Promise<void> => {
    for (let i = 0; i < KILLS_PER_PHASE; i += 1) {
      await sleep(random.below(KILL_GAP_MS));
      await cluster.killOne(random);
    }
  };

  const ipam = { configs: [{ subnet: '10.60.0.0/20' }] };
  const { network } = await control.CreateNetwork({
    spec: { annotations: { name: 'wide' }, ipam },
  });
  const networks = [{ target: network?.id ?? '' }];
  // Gateways, and the nodes' own addresses on the ingress network.
  const unused = await until('the networks stand', PATIENCE_MS, async () => {
    const used = await usage(manager);
    return used.size === 2 && Math.max(...used.values()) === 1 + NODES && used;
  });
  const wide: string[] = [];
  await Promise.all([
    kills(),
    (async () => {
      for (const [i, [before]] of WIDE.entries()) {
        const spec = { annotations: { name: `wide-${i}` }, task: { networks } };
        const id = await cluster.create(spec, before);
        replicas.set(id, before);
        wide.push(id);
      }
      for (const [i, count] of PORTED.entries()) {
        // Every other one lets the allocator choose its port.
        const published = { targetPort: 80, publishedPort: i % 2 === 0 ? 8000 + i : 0 };
        const spec = { annotations: { name: `ported-${i}` }, endpoint: { ports: [published] } };
        replicas.set(await cluster.create(spec, count), count);
      }
    })(),
  ]);
  await cluster.settles(replicas);
  checkHoldings(manager);
  const first = [...replicas.values()].reduce((sum, count) => sum + count, 0);
  assert.equal(watch.created, first, 'no task was made twice, or again');

  await Promise.all([
    kills(),
    ...WIDE.map(async ([, after], i) => {
      const id = wide[i] ?? '';
      await cluster.scale(id, after);
      replicas.set(id, after);
    }),
  ]);
  await cluster.settles(replicas);
  checkHoldings(manager);
  const added = WIDE.reduce((sum, [before, after]) => sum + Math.max(0, after - before), 0);
  assert.equal(watch.created, first + added, 'no task was made twice, or again');

  await Promise.all([
    kills(),
    ...replicas.keys().map((serviceId) => control.RemoveService({ serviceId })),
  ]);
  await cluster.settles(new Map());
  assert.deepEqual(watch.wrong, []);
  await until('no address is in use that was not before', PATIENCE_MS, async () =>
    isDeepStrictEqual(await usage(manager), unused),
  );
  const generations = cluster.generations();
  assert.ok(
    generations.every((generation) => generation > 1),
    `killed: ${generations.join()}`,
  );
  t.diagnostic(`${3 * KILLS_PER_PHASE} kills, ${watch.created} tasks`);
});

test('real processes outlive the threads that watch them, and their ends are still seen', async (t) => {
  const random = seeded(t);
  await using cluster = await Cluster.start(['process']);
  const mark = `SKEIN_TEST_THREADS=${process.pid}`;
  t.after(() => killMarked(mark));
  const container = { image: 'none', command: ['sleep', '10000'], env: [mark] };
  const task = {
    runtime: { case: 'container', value: container },
    restart: { delay: { nanos: 200_000_000 } },
  } as const;
  const kills = async (): Promise<void> => {
    for (let i = 0; i < KILLS_PER_PHASE / 2; i += 1) {
      await sleep(random.below(KILL_GAP_MS));
      await cluster.killController(random);
    }
  };
  const created = cluster.create({ annotations: { name: 'real' }, task }, 20);
  await Promise.all([kills(), created]);
  const id = await created;
  await cluster.settles(new Map([[id, 20]]));
  const before = programsWith(mark);
  assert.equal(before.size, 20);
  assert.deepEqual(cluster.watch.wrong, []);

  await Promise.all([kills(), cluster.scale(id, 30)]);
  await cluster.settles(new Map([[id, 30]]));
  const after = programsWith(mark);
  assert.equal(after.size, 30);
  for (const [taskId, pid] of before) assert.equal(after.get(taskId), pid, 'it was left alone');
  assert.deepEqual(cluster.watch.wrong, []);

  // The thread that started it is gone; the one that took it over tells how it ended.
  const [[victim, pid] = assert.fail()] = before;
  process.kill(pid, 'SIGKILL');
  await until('its end is seen', PATIENCE_MS, () =>
    cluster.watch.wrong.some(
      (text) => text === `${victim} is in state ${TaskState.FAILED}: ${KILLED}`,
    ),
  );
  await cluster.control.RemoveService({ serviceId: id });
  await cluster.settles(new Map());
  await until('no process is left', PATIENCE_MS, () => programsWith(mark).size === 0);
});
