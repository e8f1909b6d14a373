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
import type { Undo } from './undo.ts';
import { until } from './until.ts';

/** For one answer; a cluster without a leader has none to give. */
const CALL = { timeoutMs: 5000 } as const;

export class ManagerProcess {
  readonly name: string;
  readonly address: string;
  readonly socketPath: string;
  readonly daemon: Daemon;
  /** Whatever is asked here goes to the leader. */
  readonly control: ServiceClient<'Control'>;

  constructor(undo: Undo, at: { directory: string; name: string; port: number; joins: string[] }) {
    const { directory, name, port, joins } = at;
    this.name = name;
    this.address = `127.0.0.1:${port}`;
    this.socketPath = join(directory, `${name}.sock`);
    const listen = ['--listen-remote-api', this.address, '--listen-control-api', this.socketPath];
    const state = ['--state-dir', join(directory, name), '--hostname', name, '--executor', 'none'];
    this.daemon = new Daemon({
      name,
      args: ['manager', ...state, ...listen, ...joins],
      logFile: join(directory, `${name}.log`),
      undo,
    });
    const channel = new Channel({ to: 'socket', path: this.socketPath });
    undo.add(`close the client of ${name}`, () => channel.close());
    this.control = channel.service('Control');
  }
}

export class Managers {
  readonly all: ManagerProcess[] = [];
  readonly #undo: Undo;
  readonly #directory: string;

  constructor(undo: Undo) {
    this.#undo = undo;
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
    const [first] = this.all;
    const token = first && (await this.cluster(first)).rootCa.joinTokens.manager;
    const joins = first && ['--join-addr', first.address, '--join-token', token ?? ''];
    const name = `m${this.all.length + 1}`;
    const port = await freePort();
    const at = { directory: this.#directory, name, port, joins: joins ?? [] };
    const manager = new ManagerProcess(this.#undo, at);
    this.all.push(manager);
    manager.daemon.start();
    await this.nodeIs(name, NodeStatusState.READY);
    return manager;
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
  async until<T>(what: string, ask: () => Promise<T | undefined | false>): Promise<T> {
    let last: unknown;
    try {
      return await until(what, PATIENCE_MS, async () => {
        try {
          return await ask();
        } catch (error) {
          last = error;
          return undefined;
        }
      });
    } catch (error) {
      const tails = this.all.map(({ daemon }) => daemon.tail());
      const text = [`not in time: ${what}; last failure: ${String(last)}`, ...tails].join('\n');
      throw new Error(text, { cause: error });
    }
  }
}
