/** What a leader runs for its nodes, real but for the log: dispatcher, log broker and a listener. */
import { Cluster, Node, Task } from '../../../shared/wire/gen/objects.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { TestCluster } from '../../ca/testing/identities.ts';
import { Dispatcher } from '../../dispatcher/dispatcher.ts';
import { realEnv } from '../../env.ts';
import { silentLog } from '../../log.ts';
import { LogBroker } from '../../logbroker/broker.ts';
import { Role } from '../../rpc/authorise.ts';
import { type Listener, listenTcp } from '../../rpc/listener.ts';
import { openMemoryStore } from '../../store/testing/memory-log.ts';
import type { Store } from '../../store/transaction.ts';
import type { View } from '../../store/view.ts';

const { ASSIGNED, RUNNING } = TaskState;

/** Moves the dispatcher's clock ahead of the real one. */
export type Clock = { aheadMs: number };

export class Leader implements AsyncDisposable {
  readonly store: Store;
  readonly dispatcher: Dispatcher;
  readonly broker: LogBroker;
  readonly listener: Listener;
  readonly clock: Clock;

  private constructor(
    parts: Pick<Leader, 'dispatcher' | 'broker' | 'listener' | 'store' | 'clock'>,
  ) {
    this.store = parts.store;
    this.dispatcher = parts.dispatcher;
    this.broker = parts.broker;
    this.listener = parts.listener;
    this.clock = parts.clock;
  }

  static async start(cluster: TestCluster, nodeIds: readonly string[]): Promise<Leader> {
    const { store } = openMemoryStore(realEnv);
    await store.update((tx) => {
      tx.clusters.create(Cluster.create({ id: 'cluster' }));
      for (const id of nodeIds) tx.nodes.create(Node.create({ id }));
    });
    let address = '';
    const clock: Clock = { aheadMs: 0 };
    const env = { ...realEnv, nowMs: () => Date.now() + clock.aheadMs };
    const dispatcher = new Dispatcher({
      store,
      env,
      log: silentLog,
      nodeId: 'm1',
      managers: () => [{ peer: { nodeId: 'm1', addr: address }, weight: 10 }],
      callersWait: () => false,
      monotonicMs: () => performance.now(),
    });
    const broker = new LogBroker(store, realEnv);
    await dispatcher.start();
    broker.start();
    const listener = await listenTcp({
      host: '127.0.0.1',
      port: 0,
      credentials: await cluster.member('m1', Role.MANAGER),
      policy: { organization: cluster.organization, isRemoved: () => false },
      services: [dispatcher.implementation, ...broker.implementations],
      log: silentLog,
    });
    ({ address } = listener);
    return new Leader({ store, dispatcher, broker, listener, clock });
  }

  /** Resolves once a commit makes it so. */
  async until(holds: (view: View) => boolean): Promise<void> {
    while (!this.store.view(holds)) {
      await new Promise<void>((resolve) => {
        const end = this.store.watch(() => {
          end();
          resolve();
        });
      });
    }
  }

  createTask(id: string, nodeId: string): Promise<void> {
    const task = {
      id,
      nodeId,
      serviceId: 'web',
      desiredState: RUNNING,
      status: { state: ASSIGNED },
    };
    return this.store.update((tx) => tx.tasks.create(Task.create(task)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispatcher.stop(true);
    this.broker.stop();
    await this.listener.stop(60_000);
  }
}
