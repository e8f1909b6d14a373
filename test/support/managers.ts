/**
 * A cluster of several manager processes and a fleet of simulated workers, for tests that kill
 * managers. `Undo` ends everything, whatever becomes of the test.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Channel, type ServiceClient } from '../../src/main/rpc/client.ts';
import type { Cluster, Node } from '../../src/shared/wire/gen/objects.ts';
import { NodeStatusState } from '../../src/shared/wire/gen/types.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import type { ClusterSpec } from '../../src/shared/wire/gen/specs.ts';
import { freePort, PATIENCE_MS } from './cluster.ts';
import { Daemon } from './daemon.ts';
import type { LabNetwork, Namespace } from './lab-network.ts';
import type { Undo } from './undo.ts';
import { until } from './until.ts';

/** Of managers with a network of their own. */
const PORT = 2377;

/** For one answer; a cluster without a leader has none to give. */
const CALL = { timeoutMs: 5000 } as const;

type Place = {
  readonly directory: string;
  readonly name: string;
  readonly address: string;
  readonly namespace: Namespace | undefined;
  /** Besides those that say where it is. */
  readonly flags: readonly string[];
  /** A worker that may be promoted, and where its tasks run; a manager without tasks unless given. */
  readonly worker?: { readonly executor: string; readonly env: Readonly<Record<string, string>> };
};

/** The process of a manager, or of a node that may become one. */
export class ManagerProcess {
  readonly place: Place;
  readonly name: string;
  readonly address: string;
  /** Its own network, where it has one. */
  readonly namespace: Namespace | undefined;
  readonly socketPath: string;
  readonly daemon: Daemon;
  /** Any manager answers, by itself or with what the leader says. */
  readonly control: ServiceClient<'Control'>;
  /** What a manager tells of itself. */
  readonly operations: ServiceClient<'Operations'>;

  constructor(undo: Undo, place: Place) {
    const { directory, name, address, namespace, flags, worker } = place;
    this.place = place;
    this.name = name;
    this.address = address;
    this.namespace = namespace;
    this.socketPath = join(directory, `${name}.sock`);
    const listen = ['--listen-remote-api', this.address, '--listen-control-api', this.socketPath];
    const executor = ['--executor', worker?.executor ?? 'none'];
    const state = ['--state-dir', this.stateDir, '--hostname', name, ...executor];
    this.daemon = new Daemon({
      name,
      args: [worker === undefined ? 'manager' : 'worker', ...state, ...listen, ...flags],
      env: worker?.env ?? {},
      prefix: namespace?.prefix ?? [],
      logFile: join(directory, `${name}.log`),
      undo,
    });
    const channel = new Channel({ to: 'socket', path: this.socketPath });
    undo.add(`close the client of ${name}`, () => channel.close());
    this.control = channel.service('Control');
    this.operations = channel.service('Operations');
  }

  get stateDir(): string {
    return join(this.place.directory, this.name);
  }
}

export type ManagersOptions = {
  /** Gives each manager a network namespace; all share the loopback without it. */
  readonly network?: LabNetwork;
  /** For every manager. */
  readonly flags?: readonly string[];
};

export class Managers {
  readonly all: ManagerProcess[] = [];
  readonly #undo: Undo;
  readonly #options: ManagersOptions;
  readonly #directory: string;

  constructor(undo: Undo, options: ManagersOptions = {}) {
    this.#undo = undo;
    this.#options = options;
    const directory = mkdtempSync(join(tmpdir(), 'skein-managers-'));
    undo.add(`remove ${directory}`, () => rmSync(directory, { recursive: true, force: true }));
    this.#directory = directory;
  }

  /** Founds a cluster and lets the others join; resolves when all are ready. */
  async start(count: number, spec: Init<ClusterSpec> = {}): Promise<void> {
    const first = await this.add();
    const { id, spec: before, meta } = await this.cluster(first);
    await first.control.UpdateCluster({
      clusterId: id,
      clusterVersion: meta.version,
      spec: { ...before, ...spec },
    });
    while (this.all.length < count) await this.add();
  }

  /** One more manager, which joins if there is one already; resolves when its node is ready. */
  async add(): Promise<ManagerProcess> {
    const manager = await this.prepare();
    manager.daemon.start();
    await this.nodeIs(manager.name, NodeStatusState.READY);
    return manager;
  }

  /** One more manager, which is not started yet. */
  async prepare(): Promise<ManagerProcess> {
    const manager = await this.#prepare(`m${this.all.length + 1}`, undefined);
    this.all.push(manager);
    return manager;
  }

  /** A worker, which is not among `all`; resolves when its node is ready. */
  async addWorker(name: string, worker: Place['worker']): Promise<ManagerProcess> {
    const process = await this.#prepare(name, worker);
    process.daemon.start();
    await this.nodeIs(name, NodeStatusState.READY);
    return process;
  }

  /** The same node, which is stopped, at an address where nobody knows it; not started yet. */
  async moved(manager: ManagerProcess): Promise<ManagerProcess> {
    const address = `127.0.0.1:${await freePort()}`;
    const moved = new ManagerProcess(this.#undo, { ...manager.place, address });
    this.all.splice(this.all.indexOf(manager), 1, moved);
    return moved;
  }

  /** The same node, which is stopped, with further flags; not started yet. */
  again(manager: ManagerProcess, ...more: readonly string[]): ManagerProcess {
    const { flags } = manager.place;
    const again = new ManagerProcess(this.#undo, { ...manager.place, flags: [...flags, ...more] });
    this.all.splice(this.all.indexOf(manager), 1, again);
    return again;
  }

  /** The same node, which is stopped, at the address that another one had; not started yet. */
  inPlaceOf(manager: ManagerProcess, gone: ManagerProcess): ManagerProcess {
    const { address, namespace } = gone.place;
    const there = new ManagerProcess(this.#undo, { ...manager.place, address, namespace });
    this.all.splice(this.all.indexOf(manager), 1, there);
    return there;
  }

  /** A manager that is told of no other, after `fill` has made its state directory; not started yet. */
  async alone(name: string, fill: (stateDir: string) => Promise<void>): Promise<ManagerProcess> {
    const directory = this.#directory;
    const address = `127.0.0.1:${await freePort()}`;
    const place = { directory, name, address, namespace: undefined, flags: [] };
    const manager = new ManagerProcess(this.#undo, place);
    await fill(manager.stateDir);
    this.all.push(manager);
    return manager;
  }

  async #prepare(name: string, worker: Place['worker']): Promise<ManagerProcess> {
    const { network, flags = [] } = this.#options;
    const first = this.all.find(({ daemon }) => daemon.isRunning);
    const tokens = first && (await this.cluster(this.anyRunning())).rootCa.joinTokens;
    const token = worker === undefined ? tokens?.manager : tokens?.worker;
    const joins = first && ['--join-addr', first.address, '--join-token', token ?? ''];
    const namespace = network?.namespace();
    return new ManagerProcess(this.#undo, {
      directory: this.#directory,
      name,
      address: namespace ? `${namespace.address}:${PORT}` : `127.0.0.1:${await freePort()}`,
      namespace,
      flags: [...flags, ...(joins ?? [])],
      ...(worker === undefined ? {} : { worker }),
    });
  }

  async cluster(through: ManagerProcess): Promise<Cluster> {
    return this.until('a manager tells the cluster', async () => {
      return (await through.control.ListClusters({}, CALL)).clusters[0];
    });
  }

  /** Resolves when the node of this host name is in a state. */
  nodeIs(hostname: string, state: NodeStatusState): Promise<Node> {
    return this.until(`node ${hostname} is in state ${state}`, async () => {
      const nodes = await this.nodes();
      return nodes.find((n) => n.description?.hostname === hostname && n.status.state === state);
    });
  }

  async nodes(): Promise<readonly Node[]> {
    return (await this.anyRunning().control.ListNodes({}, CALL)).nodes;
  }

  /** Nodes that are members of the group of managers. */
  async members(): Promise<readonly Node[]> {
    return (await this.nodes()).filter(({ managerStatus }) => managerStatus !== undefined);
  }

  anyRunning(): ManagerProcess {
    const manager = this.all.find(({ daemon }) => daemon.isRunning);
    if (manager === undefined) throw new Error('no manager runs');
    return manager;
  }

  /** Resolves with who leads, as the cluster itself says. */
  leader(): Promise<ManagerProcess> {
    return this.until('somebody leads', async () => {
      const node = (await this.nodes()).find(({ managerStatus }) => managerStatus?.leader === true);
      return this.all.find(({ name, daemon }) => {
        return daemon.isRunning && name === node?.description?.hostname;
      });
    });
  }

  /** Simulated workers in a process of their own; resolves when all have registered. */
  async fleet(count: number): Promise<void> {
    const [first] = this.all;
    if (first === undefined) throw new Error('no manager');
    const token = (await this.cluster(first)).rootCa.joinTokens.worker;
    const args = ['--address', first.address, '--token', token, '--count', String(count)];
    const fleet = spawn(process.execPath, ['bench/fleet/main.ts', ...args], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.#undo.add('end the fleet', () => fleet.kill('SIGKILL'));
    await once(fleet.stdout, 'data');
  }

  /** As the plain `until`; a failed call counts as "not yet". */
  async until<T>(
    what: string | (() => string),
    ask: () => Promise<T | undefined | false>,
  ): Promise<T> {
    let last: unknown;
    try {
      return await until('see below', PATIENCE_MS, async () => {
        try {
          return await ask();
        } catch (error) {
          last = error;
          return undefined;
        }
      });
    } catch (error) {
      const tails = this.all.map(({ daemon }) => daemon.tail());
      const told = typeof what === 'string' ? what : what();
      const text = [`not in time: ${told}; last failure: ${String(last)}`, ...tails].join('\n');
      throw new Error(text, { cause: error });
    }
  }
}
