/**
 * Twenty thousand tasks on two hundred simulated workers come up, go, and come up again: everything
 * runs, evenly, with an address of its own, and nothing is left behind. The workers are real sessions
 * over mutual TLS in a process of their own; the manager is in this one, so that it can be measured.
 */
import assert from 'node:assert/strict';
import { spawn, type ChildProcess } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { realEnv } from '../../src/main/env.ts';
import { silentLog } from '../../src/main/log.ts';
import { Node } from '../../src/main/node/node.ts';
import { LagMeter } from '../../src/main/pools/lag.ts';
import { Channel, type ServiceClient } from '../../src/main/rpc/client.ts';
import { NodeSpecAvailability, type ServiceSpec } from '../../src/shared/wire/gen/specs.ts';
import { RestartPolicyRestartCondition, TaskState } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import type { TaskChange } from '../../src/main/store/transaction.ts';
import type { View } from '../../src/main/store/view.ts';

const WORKERS = 200;
const TASKS = 20_000;
/** Replicas of the service with a published port: the ingress network is a /24 that every node uses. */
const PUBLISHED = 20;
const DEADLINE_MS = 150_000;

setFlagsFromString('--expose-gc');
const collect: unknown = runInNewContext('gc');

/** Bytes in use after everything that can go has gone. */
async function memory(): Promise<number> {
  assert.ok(typeof collect === 'function');
  for (let i = 0; i < 3; i += 1) {
    collect();
    await sleep(50);
  }
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const openFiles = (): number => readdirSync('/proc/self/fd').length;

async function until(what: string, done: () => boolean): Promise<number> {
  const started = Date.now();
  while (!done()) {
    if (Date.now() - started > DEADLINE_MS) assert.fail(`not in time: ${what}`);
    await sleep(50);
  }
  return Date.now() - started;
}

class Cluster implements AsyncDisposable {
  readonly node: Node;
  readonly control: ServiceClient<'Control'>;
  readonly #directory: string;
  readonly #channel: Channel;
  #fleet: ChildProcess | undefined;
  /** Running tasks of each service, counted as they commit. */
  readonly running = new Map<string, number>();
  /** The longest turn of the main thread, without those of this test's own checks. */
  longestMs = 0;
  readonly #lag = new LagMeter(1);

  private constructor(directory: string, node: Node) {
    this.#directory = directory;
    this.node = node;
    this.#channel = new Channel({ to: 'socket', path: join(directory, 'control.sock') });
    this.control = this.#channel.service('Control');
    node.manager?.store.watch((commit) => {
      for (const change of commit.changes) if (change.kind === 'task') this.#count(change);
    });
  }

  #count(change: TaskChange): void {
    const { serviceId, state } = change.object;
    const before =
      change.action === 'update' ? change.old.state : change.action === 'remove' ? state : 0;
    const after = change.action === 'remove' ? 0 : state;
    const step = Number(after === TaskState.RUNNING) - Number(before === TaskState.RUNNING);
    if (step !== 0) this.running.set(serviceId, (this.running.get(serviceId) ?? 0) + step);
  }

  /** Runs a check whose own turns do not count. */
  async aside<T>(check: () => T | Promise<T>): Promise<T> {
    this.longestMs = Math.max(this.longestMs, this.#lag.read().longestMs);
    try {
      return await check();
    } finally {
      await sleep(20);
      this.#lag.reset();
    }
  }

  static async start(): Promise<Cluster> {
    const directory = await mkdtemp(join(tmpdir(), 'skein-load-'));
    const loopback = { host: '127.0.0.1', port: 0 };
    const node = await Node.start({
      stateDir: join(directory, 'manager'),
      hostname: 'manager',
      join: undefined,
      availability: NodeSpecAvailability.DRAIN,
      executor: undefined,
      taskThreads: 1,
      manager: {
        listen: loopback,
        advertise: loopback,
        controlSocket: join(directory, 'control.sock'),
        tickMs: 1000,
      },
      env: realEnv,
      log: silentLog,
      onFatal: (error) => {
        throw error;
      },
    });
    return new Cluster(directory, node);
  }

  view<T>(read: (view: View) => T): T {
    const { manager } = this.node;
    assert.ok(manager);
    return manager.store.view(read);
  }

  async startFleet(): Promise<void> {
    const { clusters } = await this.control.ListClusters({});
    const token = clusters[0]?.rootCa.joinTokens.worker ?? '';
    const address = this.node.manager?.address ?? '';
    const args = ['--address', address, '--token', token, '--count', String(WORKERS)];
    const fleet = spawn(process.execPath, ['bench/fleet/main.ts', ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#fleet = fleet;
    await new Promise<void>((resolve, reject) => {
      fleet.stdout.once('data', () => resolve());
      fleet.once('exit', (code) => reject(new Error(`the fleet ended with ${code}`)));
    });
  }

  async stopFleet(): Promise<void> {
    const fleet = this.#fleet;
    this.#fleet = undefined;
    if (fleet === undefined || fleet.exitCode !== null) return;
    fleet.removeAllListeners('exit');
    const ended = new Promise((resolve) => fleet.once('exit', resolve));
    fleet.stdin?.end();
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopFleet();
    this.#lag[Symbol.dispose]();
    this.#channel.close();
    await this.node.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** A service with a port on the ingress network. */
const published = (name: string): Init<ServiceSpec> => ({
  annotations: { name },
  mode: { case: 'replicated', value: { replicas: BigInt(PUBLISHED) } },
  task: {
    runtime: { case: 'container', value: { image: 'busybox', command: ['sleep', '1000'] } },
    restart: { condition: RestartPolicyRestartCondition.ANY },
  },
  endpoint: { ports: [{ targetPort: 80, publishedPort: 8080 }] },
});

/** Every running task has one node, one address of its own, and the nodes have equal shares. */
function checkPlacement(cluster: Cluster, serviceId: string): void {
  cluster.view((view) => {
    const perNode = new Map<string, number>();
    const addresses = new Set<string>();
    const slots = new Set<number>();
    for (const row of view.tasks.byService(serviceId)) {
      if (row.state !== TaskState.RUNNING) continue;
      perNode.set(row.nodeId, (perNode.get(row.nodeId) ?? 0) + 1);
      slots.add(row.slot);
      const attached = row
        .toTask()
        .networks.filter((n) => n.network?.spec.annotations.name === 'load');
      for (const address of attached.flatMap((n) => n.addresses)) addresses.add(address);
    }
    const shares = [...perNode.values()];
    assert.equal(perNode.size, WORKERS);
    assert.ok(
      Math.max(...shares) - Math.min(...shares) <= 1,
      `${Math.min(...shares)}..${Math.max(...shares)}`,
    );
    assert.equal(slots.size, TASKS, 'each slot runs once');
    assert.equal(addresses.size, TASKS, 'each task has an address of its own');
  });
}

test(
  '20,000 tasks on 200 workers come up, go, and come up again',
  { timeout: 600_000 },
  async (t) => {
    await using cluster = await Cluster.start();
    const { control } = cluster;
    await control.ListClusters({}); // opens the connection that all calls share
    const filesAtStart = openFiles();
    await cluster.startFleet();
    const filesWithFleet = openFiles();
    const ipam = { configs: [{ subnet: '10.50.0.0/16' }] };
    const made = await control.CreateNetwork({ spec: { annotations: { name: 'load' }, ipam } });
    const networkId = made.network?.id ?? '';
    const created = await control.CreateService({
      spec: {
        annotations: { name: 'load' },
        mode: { case: 'replicated', value: { replicas: BigInt(TASKS) } },
        task: {
          runtime: { case: 'container', value: { image: 'busybox', command: ['sleep', '1000'] } },
          restart: { condition: RestartPolicyRestartCondition.ANY },
          networks: [{ target: networkId }],
        },
      },
    });
    const serviceId = created.service?.id ?? '';
    const publish = async (name: string): Promise<string> => {
      const { service } = await control.CreateService({ spec: published(name) });
      return service?.id ?? '';
    };
    const runningOf = (id: string): number => cluster.running.get(id) ?? 0;
    const scale = async (replicas: number): Promise<void> => {
      const { service } = await control.GetService({ serviceId });
      assert.ok(service);
      const mode = { case: 'replicated', value: { replicas: BigInt(replicas) } } as const;
      const spec = { ...service.spec, mode };
      await control.UpdateService({ serviceId, serviceVersion: service.meta.version, spec });
    };
    const up = await until('all running', () => runningOf(serviceId) === TASKS);
    await cluster.aside(() => checkPlacement(cluster, serviceId));
    const firstPort = await publish('first');
    await until('a published service runs', () => runningOf(firstPort) === PUBLISHED);
    const plateau = await cluster.aside(memory);

    await scale(0);
    const left = (): number => cluster.view((view) => view.tasks.countByService(serviceId));
    const down = await until('none left', () => left() === 0);
    await scale(TASKS);
    const again = await until('all running again', () => runningOf(serviceId) === TASKS);
    await cluster.aside(() => checkPlacement(cluster, serviceId));
    const second = await cluster.aside(memory);
    assert.ok(second <= plateau * 1.2, `memory went from ${plateau} to ${second} bytes`);

    // The port and every address of the first are free again for the second.
    await control.RemoveService({ serviceId: firstPort });
    const secondPort = await publish('second');
    await until('its port is free again', () => runningOf(secondPort) === PUBLISHED);
    await control.RemoveService({ serviceId: secondPort });
    await control.RemoveService({ serviceId });
    await until('all gone', () => cluster.view((view) => view.tasks.size) === 0);
    await until('node addresses released', () =>
      cluster.view((view) => {
        const attached = [...view.nodes.all()].flatMap((node) => node.attachments);
        return attached.every((a) => a.network?.id !== networkId);
      }),
    );
    await control.RemoveNetwork({ networkId });
    assert.equal(openFiles(), filesWithFleet, 'no file or socket was left open');
    await cluster.aside(() => undefined);
    await cluster.stopFleet();
    await until('connections closed', () => openFiles() <= filesAtStart);
    t.diagnostic(
      `up ${up} ms, down ${down} ms, up again ${again} ms; memory ${Math.round(plateau / 2 ** 20)} then ` +
        `${Math.round(second / 2 ** 20)} MiB; longest turn of the main thread ${Math.round(cluster.longestMs)} ms`,
    );
  },
);
