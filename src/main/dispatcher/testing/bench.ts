/** A dispatcher on a real store over a log in memory, with a clock that the test moves. */
import { mock } from 'node:test';
import { idFrom } from '../../../shared/kit/base36.ts';
import type { Env } from '../../../shared/kit/env.ts';
import { Random } from '../../../shared/kit/random.ts';
import { Cluster, Config, Node, Secret, Task } from '../../../shared/wire/gen/objects.ts';
import type { AssignmentsMessage } from '../../../shared/wire/gen/dispatcher.ts';
import { NodeStatusState, TaskState, type WeightedPeer } from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { silentLog } from '../../log.ts';
import { type MemoryLog, openMemoryStore } from '../../store/testing/memory-log.ts';
import type { Store, TaskPatch, Transaction } from '../../store/transaction.ts';
import { Dispatcher } from '../dispatcher.ts';
import { Calls, type Inbox } from './calls.ts';

export const MANAGER = 'manager';

export class Bench implements AsyncDisposable {
  readonly env: Env;
  readonly store: Store;
  readonly log: MemoryLog;
  readonly dispatcher: Dispatcher;
  readonly calls: Calls<'Dispatcher'>;
  managers: WeightedPeer[] = [{ peer: { nodeId: MANAGER, addr: '10.0.0.9:4242' }, weight: 10 }];
  nowMs = 1_700_000_000_000;
  /** Moved by itself, so that `pass` is no blocked thread. */
  monotonicMs = 0;
  callersWait = false;
  readonly warnings: unknown[] = [];

  private constructor(seed: bigint) {
    const random = new Random(seed);
    this.env = {
      nowMs: () => this.nowMs,
      randBelow: (limit) => random.below(limit),
      newId: () => idFrom(Uint8Array.from({ length: 17 }, () => random.below(256))),
    };
    const { store, log } = openMemoryStore(this.env);
    this.store = store;
    this.log = log;
    this.dispatcher = new Dispatcher({
      store,
      env: this.env,
      log: { ...silentLog, warn: (fields) => void this.warnings.push(fields['error']) },
      nodeId: MANAGER,
      managers: () => this.managers,
      callersWait: () => this.callersWait,
      monotonicMs: () => this.monotonicMs,
    });
    this.calls = new Calls('Dispatcher', [this.dispatcher.implementation]);
  }

  /** Leading, with these nodes. Deadlines are looked at when `pass` says so. */
  static async open(nodeIds: readonly string[] = ['n1'], seed = 1n): Promise<Bench> {
    mock.timers.enable({ apis: ['setInterval'] });
    const bench = new Bench(seed);
    await bench.write((tx) => {
      tx.clusters.create(
        Cluster.create({ id: 'cluster', rootCa: { caCert: Buffer.from('root') } }),
      );
      for (const id of nodeIds) tx.nodes.create(Node.create({ id }));
    });
    await bench.dispatcher.start();
    return bench;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispatcher.stop(false);
    mock.timers.reset();
  }

  write<T>(fn: (tx: Transaction) => T): Promise<T> {
    return this.store.update(fn);
  }

  /** Time passes, and the dispatcher looks at its deadlines. */
  async pass(ms: number): Promise<void> {
    this.nowMs += ms;
    mock.timers.tick(250);
    await this.write((tx) => tx.nodes.size); // what it wrote is committed before this resolves
    await new Promise<void>((resolve) => void setImmediate(resolve));
  }

  node(id = 'n1'): { readonly state: NodeStatusState; readonly message: string } {
    const { state, message } = this.store.view((view) => view.nodes.get(id)?.status) ?? {
      state: NodeStatusState.UNKNOWN,
      message: 'there is no such node',
    };
    return { state, message };
  }

  /** Registers a node; gives its session's id and stream, whose first message is read. */
  async register(nodeId = 'n1') {
    const stream = this.calls.open(nodeId, 'Session', { description: { hostname: nodeId } });
    const { sessionId } = await stream.next();
    return { sessionId, stream };
  }

  beat(sessionId: string, nodeId = 'n1') {
    return this.calls.ask(nodeId, 'Heartbeat', { sessionId });
  }

  assignments(sessionId: string, nodeId = 'n1'): Inbox<AssignmentsMessage> {
    return this.calls.open(nodeId, 'Assignments', { sessionId });
  }

  createTask(id: string, init: Init<Task> = {}): Promise<void> {
    const { ASSIGNED, RUNNING } = TaskState;
    const task = { id, nodeId: 'n1', desiredState: RUNNING, status: { state: ASSIGNED }, ...init };
    return this.write((tx) => tx.tasks.create(Task.create(task)));
  }

  patchTask(id: string, patch: TaskPatch): Promise<void> {
    return this.write((tx) => tx.tasks.patch(id, patch));
  }

  createSecret(id: string): Promise<void> {
    const spec = { annotations: { name: id }, data: Buffer.from(id) };
    return this.write((tx) => tx.secrets.create(Secret.create({ id, spec })));
  }

  createConfig(id: string): Promise<void> {
    const spec = { annotations: { name: id }, data: Buffer.from(id) };
    return this.write((tx) => tx.configs.create(Config.create({ id, spec })));
  }
}

/** A task's spec that names secrets and configs. */
export function needing(secrets: readonly string[], configs: readonly string[]): Init<Task> {
  const value = {
    image: 'x',
    secrets: secrets.map((secretId) => ({ secretId })),
    configs: configs.map((configId) => ({ configId })),
  };
  return { spec: { runtime: { case: 'container', value } } };
}

/** A message in short: `update task/t1`, `remove secret/s1`, in its order. */
export function changesOf(message: AssignmentsMessage): string[] {
  return message.changes.map(({ assignment, action }) => {
    const item = assignment?.item;
    return `${action === 0 ? 'update' : 'remove'} ${item?.case}/${item?.value.id}`;
  });
}
