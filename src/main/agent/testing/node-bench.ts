/** An agent with everything real but its controllers, on a disk of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Node } from '../../../shared/wire/gen/objects.ts';
import { NodeTLSInfo, Peer } from '../../../shared/wire/gen/types.ts';
import type { TestCluster } from '../../ca/testing/identities.ts';
import { realEnv } from '../../env.ts';
import { silentLog } from '../../log.ts';
import { Role } from '../../rpc/authorise.ts';
import { Channel } from '../../rpc/client.ts';
import { Agent } from '../agent.ts';
import { Remotes } from '../core/remotes.ts';
import { Dependencies } from '../dependencies.ts';
import { TaskDatabase } from '../task-database.ts';
import { FakeControllers } from './fake-controllers.ts';
import { Arrivals } from './scripted-manager.ts';

export type NodeBenchOptions = {
  readonly cluster: TestCluster;
  readonly nodeId: string;
  /** Addresses of managers. */
  readonly managers: readonly string[];
};

export class NodeBench implements AsyncDisposable {
  readonly controllers: FakeControllers;
  readonly database: TaskDatabase;
  readonly agent: Agent;
  readonly remotes: Remotes;
  readonly #directory: string;
  readonly #running: Promise<void>;
  /** What the agent told the node, as it came. */
  readonly peers = new Arrivals<readonly Peer[]>();
  readonly nodes = new Arrivals<Node>();
  readonly roots = new Arrivals<string>();
  readonly ready = new Arrivals<true>();
  /** Bounds of the delays that were drawn; each was then 0. */
  readonly delays: number[] = [];

  private constructor(
    directory: string,
    connect: (peer: Peer | undefined) => Channel,
    peers: Peer[],
  ) {
    this.#directory = directory;
    this.database = new TaskDatabase(directory);
    this.remotes = new Remotes(peers);
    this.controllers = new FakeControllers();
    const randBelow = (limit: number): number => {
      if (limit === 1_000_000) return realEnv.randBelow(limit); // the choice of a manager
      this.delays.push(limit);
      return 0;
    };
    this.agent = new Agent({
      env: { ...realEnv, randBelow },
      log: silentLog,
      database: this.database,
      dependencies: new Dependencies(),
      controllers: this.controllers,
      remotes: this.remotes,
      hostname: '',
      tlsInfo: () => NodeTLSInfo.create({}),
      connect,
      onRemotes: async (found) => this.peers.push(found),
      onNode: async (node) => this.nodes.push(node),
      onRootCa: async (pem) => this.roots.push(Buffer.from(pem).toString()),
      onReady: () => this.ready.push(true),
    });
    this.controllers.onRemoved = (ids) => this.agent.removed(ids);
    this.#running = this.agent.run();
  }

  static async start({ cluster, nodeId, managers }: NodeBenchOptions): Promise<NodeBench> {
    const { rootPem, ...identity } = await cluster.member(nodeId, Role.WORKER);
    const directory = await mkdtemp(join(tmpdir(), 'skein-agent-'));
    const connect = (peer: Peer | undefined): Channel =>
      new Channel({ to: 'manager', address: peer?.addr ?? '', rootPem, identity });
    return new NodeBench(
      directory,
      connect,
      managers.map((addr) => Peer.create({ addr })),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.agent.stop();
    await this.#running;
    await this.database[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}
