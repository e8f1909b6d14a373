/** One simulated worker: a real identity, a real session over mutual TLS, tasks in memory. */
import { joinCluster } from '../../src/main/ca/bootstrap.ts';
import type { KeyStore, StoredIdentity } from '../../src/main/ca/key-files.ts';
import type { SecurityContext } from '../../src/main/ca/security-context.ts';
import { Agent } from '../../src/main/agent/agent.ts';
import { Remotes } from '../../src/main/agent/core/remotes.ts';
import { Dependencies } from '../../src/main/agent/dependencies.ts';
import { type TaskStorage, withStatus } from '../../src/main/agent/task-database.ts';
import { realEnv } from '../../src/main/env.ts';
import { silentLog } from '../../src/main/log.ts';
import { Channel } from '../../src/main/rpc/client.ts';
import { Peer, TaskStatus } from '../../src/shared/wire/gen/types.ts';
import { Task } from '../../src/shared/wire/gen/objects.ts';
import type { StatusUpdate } from '../../src/main/pools/tasks.ts';
import { SimulatedControllers } from './controllers.ts';

/** A node's identity, kept in memory. */
class MemoryKeys implements KeyStore {
  #root: string | undefined;
  #identity: StoredIdentity | undefined;
  readonly loadRoot = async (): Promise<string | undefined> => this.#root;
  readonly load = async (): Promise<StoredIdentity | undefined> => this.#identity;
  readonly saveRoot = async (rootPem: string): Promise<void> => {
    this.#root = rootPem;
  };
  readonly save = async (certificatePem: string, keyPem: string): Promise<void> => {
    this.#identity = { certificatePem, keyPem, headers: {} };
  };
}

/** A node's tasks, kept in memory. */
class MemoryTasks implements TaskStorage {
  readonly #tasks = new Map<string, Uint8Array>();
  readonly #statuses = new Map<string, TaskStatus>();

  has(id: string): boolean {
    return this.#tasks.has(id);
  }

  ids(): string[] {
    return [...this.#tasks.keys()];
  }

  get(id: string): Uint8Array | undefined {
    const task = this.#tasks.get(id);
    const status = this.#statuses.get(id);
    if (task === undefined || status === undefined) return task;
    return withStatus(task, TaskStatus.encode(status));
  }

  status(id: string): TaskStatus | undefined {
    return this.#statuses.get(id);
  }

  *all(): Iterable<{ readonly id: string; readonly bytes: Uint8Array }> {
    for (const id of this.ids()) yield { id, bytes: this.get(id) ?? new Uint8Array() };
  }

  async assign(tasks: readonly Task[]): Promise<void> {
    for (const task of tasks) {
      this.#tasks.set(task.id, Task.encode(task));
      if (!this.#statuses.has(task.id)) this.#statuses.set(task.id, task.status);
    }
  }

  async setStatuses(updates: readonly StatusUpdate[]): Promise<void> {
    for (const { taskId, status } of updates) {
      if (this.has(taskId)) this.#statuses.set(taskId, status);
    }
  }

  async remove(ids: readonly string[]): Promise<void> {
    for (const id of ids) {
      this.#tasks.delete(id);
      this.#statuses.delete(id);
    }
  }
}

export type FleetWorker = {
  readonly nodeId: string;
  /** Tasks that this worker holds now. */
  tasks(): number;
  stop(): Promise<void>;
};

export type FleetOptions = {
  readonly address: string;
  readonly token: string;
  readonly hostname: string;
  readonly report: 'last' | 'each';
};

/** Joins the cluster and resolves once registered. */
export async function startWorker(options: FleetOptions): Promise<FleetWorker> {
  const { address, token, hostname, report } = options;
  const { signal } = new AbortController();
  const join = { store: new MemoryKeys(), address, token, env: realEnv, log: silentLog, signal };
  const security = await joinCluster(join);
  const tasks = new MemoryTasks();
  let agent: Agent | undefined;
  const controllers = new SimulatedControllers({
    hostname,
    report,
    onStatuses: (updates) => void agent?.statuses(updates),
    onRemoved: (ids) => agent?.removed(ids),
  });
  const ready = Promise.withResolvers<void>();
  agent = new Agent({
    env: realEnv,
    log: silentLog,
    database: tasks,
    dependencies: new Dependencies(),
    controllers,
    remotes: new Remotes([Peer.create({ addr: address })]),
    hostname,
    tlsInfo: () => security.identity.tlsInfo,
    connect: (peer) => channelTo(peer?.addr ?? address, security),
    onRemotes: async () => undefined,
    onNode: async () => undefined,
    onRootCa: async () => undefined,
    onReady: () => ready.resolve(),
  });
  const started = agent;
  const running = started.run();
  await ready.promise;
  const stop = async (): Promise<void> => {
    started.stop();
    await running;
  };
  return { nodeId: security.identity.nodeId, tasks: () => controllers.size, stop };
}

function channelTo(address: string, security: SecurityContext): Channel {
  const { rootPem, ...identity } = security.credentials;
  return new Channel({ to: 'manager', address, rootPem, identity });
}
