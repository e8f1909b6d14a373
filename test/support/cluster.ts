/**
 * A cluster of real processes for one test: `skein manager` and `skein worker` on free loopback ports
 * and a folder of their own, and a typed client on the control socket. Whatever becomes of the test,
 * `Undo` ends the processes, their tasks included, and removes the files.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Channel, type ServiceClient } from '../../src/main/rpc/client.ts';
import { durationOf } from '../../src/shared/model/time.ts';
import type { Cluster as ClusterObject, Node, Task } from '../../src/shared/wire/gen/objects.ts';
import type { ServiceSpec, TaskSpec } from '../../src/shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import { Daemon } from './daemon.ts';
import { killMarked, programsWith } from './programs.ts';
import { removeTraces, tracesOf } from './traces.ts';
import type { Undo } from './undo.ts';
import { until } from './until.ts';

/** Starting a process takes up to a second of an idle machine, and tests share theirs with others. */
export const PATIENCE_MS = 90_000;

/** Set in every process of a cluster, and inherited by its tasks: so they are found at the end. */
const MARK = 'SKEIN_TEST_CLUSTER';

export type ClusterOptions = {
  readonly undo: Undo;
  /** Default 1000 ms: a node that says nothing for three of them is down. */
  readonly heartbeatPeriodMs?: number;
  /** Of the manager's own node; `none` by default. */
  readonly executor?: string;
};

/** A TCP port of the loopback that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => void server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no TCP port');
  return address.port;
}

export class Cluster {
  readonly directory: string;
  readonly address: string;
  readonly socketPath: string;
  readonly manager: Daemon;
  readonly workers = new Map<string, Daemon>();
  readonly control: ServiceClient<'Control'>;
  readonly #undo: Undo;
  readonly #nodeIds: string[] = [];

  private constructor(undo: Undo, port: number, executor: string) {
    this.#undo = undo;
    const directory = mkdtempSync(join(tmpdir(), 'skein-e2e-'));
    undo.add(`remove ${directory}`, () => rmSync(directory, { recursive: true, force: true }));
    undo.add('remove what nodes keep elsewhere', () => this.#nodeIds.forEach(removeTraces));
    undo.add('end the tasks', () => killMarked(this.#mark));
    this.directory = directory;
    this.address = `127.0.0.1:${port}`;
    this.socketPath = join(directory, 'control.sock');
    const listen = ['--listen-remote-api', this.address, '--listen-control-api', this.socketPath];
    // A restarted manager leads at once whatever its tick; a short one serves waits that count ticks.
    this.manager = this.#daemon('manager', [...listen, '--raft-tick', '100'], executor);
    const channel = new Channel({ to: 'socket', path: this.socketPath });
    undo.add('close the client', () => channel.close());
    this.control = channel.service('Control');
  }

  get #mark(): string {
    return `${MARK}=${this.directory}`;
  }

  /** A cluster whose manager was not started yet. */
  static async prepare({ undo, executor = 'none' }: ClusterOptions): Promise<Cluster> {
    return new Cluster(undo, await freePort(), executor);
  }

  /** Founds a cluster; resolves when its manager answers and has the heartbeat period asked for. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const { heartbeatPeriodMs = 1000 } = options;
    const cluster = await Cluster.prepare(options);
    cluster.manager.start();
    await cluster.answers();
    const { id, spec, meta } = await cluster.object();
    await cluster.control.UpdateCluster({
      clusterId: id,
      clusterVersion: meta.version,
      spec: { ...spec, dispatcher: { heartbeatPeriod: durationOf(heartbeatPeriodMs) } },
    });
    cluster.#nodeIds.push((await cluster.nodeIs('manager', NodeStatusState.READY)).id);
    return cluster;
  }

  #daemon(name: string, args: readonly string[], executor: string): Daemon {
    const role = name === 'manager' ? 'manager' : 'worker';
    const stateDir = join(this.directory, name);
    return new Daemon({
      name,
      args: [role, '--state-dir', stateDir, '--hostname', name, '--executor', executor, ...args],
      logFile: join(this.directory, `${name}.log`),
      env: { [MARK]: this.directory },
      undo: this.#undo,
    });
  }

  /** Resolves when the manager answers on its control socket. @throws Error at once when it ends */
  async answers(): Promise<void> {
    const { manager } = this;
    await this.until('the manager answers', async () => !manager.isRunning || this.object());
    if (!manager.isRunning) throw new Error(`the manager did not stay:\n${manager.tail()}`);
  }

  /** The cluster's own object. */
  async object(): Promise<ClusterObject> {
    const [cluster] = (await this.control.ListClusters({}, { timeoutMs: 5_000 })).clusters;
    if (cluster === undefined) throw new Error('the manager has no cluster');
    return cluster;
  }

  /** Adds a worker process; resolves when its node is READY. */
  async addWorker(name: string, executor: string, ...flags: string[]): Promise<Daemon> {
    const token = (await this.object()).rootCa.joinTokens.worker;
    const joins = ['--join-addr', this.address, '--join-token', token];
    const worker = this.#daemon(name, [...joins, ...flags], executor);
    this.workers.set(name, worker);
    worker.start();
    const { id } = await this.nodeIs(name, NodeStatusState.READY);
    this.#nodeIds.push(id);
    return worker;
  }

  /** Resolves when the node of this host name is in a state. */
  async nodeIs(hostname: string, state: NodeStatusState): Promise<Node> {
    return this.until(`node ${hostname} is in state ${state}`, async () => {
      const { nodes } = await this.control.ListNodes({});
      return nodes.find((n) => n.description?.hostname === hostname && n.status.state === state);
    });
  }

  /** Creates a replicated service and gives its id. */
  async createService(name: string, replicas: number, spec: Init<ServiceSpec>): Promise<string> {
    const { service } = await this.control.CreateService({
      spec: {
        ...spec,
        annotations: { ...spec.annotations, name },
        mode: { case: 'replicated', value: { replicas: BigInt(replicas) } },
      },
    });
    if (service === undefined) throw new Error('no service was created');
    return service.id;
  }

  /** The allocator and the orchestrator write services too: who comes too late asks again. */
  async scale(serviceId: string, replicas: number): Promise<void> {
    const mode = { case: 'replicated', value: { replicas: BigInt(replicas) } } as const;
    await this.until(`${serviceId} is scaled to ${replicas}`, async () => {
      const { service } = await this.control.GetService({ serviceId });
      if (service === undefined) throw new Error(`no service ${serviceId}`);
      const serviceVersion = service.meta.version;
      const spec = { ...service.spec, mode };
      return this.control.UpdateService({ serviceId, serviceVersion, spec });
    });
  }

  /** A task that runs a command as a process, and is found again by `programs`. */
  program(...command: readonly string[]): Init<TaskSpec> {
    const env = [this.#mark];
    return { runtime: { case: 'container', value: { image: 'none', command, env } } };
  }

  /** What really runs, whatever the manager thinks: the process of each task. @throws on two of one */
  programs(): ReadonlyMap<string, number> {
    return programsWith(this.#mark);
  }

  /** Folders that workers with processes for tasks keep of them. */
  taskFolders(): string[] {
    return ['manager', ...this.workers.keys()]
      .map((name) => join(this.directory, name, 'tasks', 'tasks'))
      .flatMap((path) => (existsSync(path) ? readdirSync(path) : []));
  }

  /** What the nodes still keep outside of their state directories. */
  traces(): string[] {
    return this.#nodeIds.flatMap(tracesOf);
  }

  async tasks(serviceId: string): Promise<readonly Task[]> {
    return (await this.control.ListTasks({ filters: { serviceIds: [serviceId] } })).tasks;
  }

  /** Resolves with the tasks when exactly `replicas` of them are meant to run, and all do. */
  async settles(serviceId: string, replicas: number): Promise<readonly Task[]> {
    let seen: readonly Task[] = [];
    const told = (): string => `${replicas} replicas run; there are:\n${describeTasks(seen)}`;
    return this.until(told, async () => {
      seen = await this.tasks(serviceId);
      const wanted = seen.filter((task) => task.desiredState <= TaskState.RUNNING);
      const running = wanted.filter((task) => task.status.state === TaskState.RUNNING);
      return wanted.length === replicas && running.length === replicas ? running : undefined;
    });
  }

  /** As the plain `until`; the text of a failure holds what the processes logged last. */
  async until<T>(
    what: string | (() => string),
    ask: () => Promise<T | undefined | false>,
    timeoutMs: number = PATIENCE_MS,
  ): Promise<T> {
    try {
      return await until('see below', timeoutMs, ask);
    } catch (error) {
      const text = typeof what === 'string' ? what : what();
      const tails = [this.manager, ...this.workers.values()].map((daemon) => daemon.tail());
      throw new Error([`not in time: ${text}`, ...tails].join('\n'), { cause: error });
    }
  }
}

const nameOf = (state: TaskState): string =>
  Object.entries(TaskState).find(([, value]) => value === state)?.[0] ?? String(state);

const lineOf = ({ id, slot, nodeId, desiredState, status }: Task): string =>
  `${id} slot ${slot} node ${nodeId} ${nameOf(status.state)}, to be ${nameOf(desiredState)} ${status.err}`;

/** A line for each of the first tasks. */
export const describeTasks = (tasks: readonly Task[]): string =>
  tasks.slice(0, 40).map(lineOf).join('\n');
