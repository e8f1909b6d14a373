/** A cluster through its manager's control socket, with the questions that tests ask. */
import { Channel, type ServiceClient } from '../../src/main/rpc/client.ts';
import type { Init } from '../../src/shared/wire/runtime.ts';
import type { Cluster, Node, Service, Task } from '../../src/shared/wire/gen/objects.ts';
import { HealthCheckResponseServingStatus } from '../../src/shared/wire/gen/health.ts';
import type { LogMessage, SubscribeLogsRequest } from '../../src/shared/wire/gen/logbroker.ts';
import type { ClusterSpec, NodeSpec, ServiceSpec } from '../../src/shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState } from '../../src/shared/wire/gen/types.ts';
import { until } from './until.ts';

/** The engine's word on its container. */
export function containerOf(task: Task): string {
  const status = task.status.runtimeStatus;
  if (status?.case !== 'container') throw new Error(`task ${task.id} has no container`);
  return status.value.containerId;
}

const briefly = (tasks: readonly Task[]): string =>
  tasks
    .map(({ id, nodeId, desiredState, status: { state, message, err } }) =>
      [id, `on ${nodeId}`, `${state}/${desiredState}`, message, err].join(' '),
    )
    .join('\n');

export class Swarm implements Disposable {
  readonly #channel: Channel;

  constructor(controlSocket: string) {
    this.#channel = new Channel({ to: 'socket', path: controlSocket });
  }

  get control(): ServiceClient<'Control'> {
    return this.#channel.service('Control');
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }

  async cluster(): Promise<Cluster> {
    const { clusters } = await this.control.ListClusters({}, { timeoutMs: 2000 });
    const [cluster] = clusters;
    if (cluster === undefined) throw new Error('there is no cluster yet');
    return cluster;
  }

  /** Whether the manager leads, with all its parts. */
  async leads(): Promise<boolean> {
    const health = this.#channel.service('Health');
    const { status } = await health.Check({ service: 'ControlAPI' }, { timeoutMs: 2000 });
    return status === HealthCheckResponseServingStatus.SERVING;
  }

  async updateCluster(change: (spec: ClusterSpec) => ClusterSpec): Promise<void> {
    const { id, meta, spec } = await this.cluster();
    await this.control.UpdateCluster({
      clusterId: id,
      clusterVersion: meta.version,
      spec: change(spec),
    });
  }

  async node(nodeId: string): Promise<Node> {
    const { node } = await this.control.GetNode({ nodeId }, { timeoutMs: 2000 });
    if (node === undefined) throw new Error(`there is no node ${nodeId}`);
    return node;
  }

  async updateNode(nodeId: string, change: (spec: NodeSpec) => NodeSpec): Promise<void> {
    const { meta, spec } = await this.node(nodeId);
    await this.control.UpdateNode({ nodeId, nodeVersion: meta.version, spec: change(spec) });
  }

  /** The node of this name once it is READY. */
  readyNode(hostname: string, timeoutMs: number): Promise<Node> {
    return until(`node ${hostname} is READY`, timeoutMs, async () => {
      const { nodes } = await this.control.ListNodes({}, { timeoutMs: 2000 });
      return nodes.find(
        (n) => n.description?.hostname === hostname && n.status.state === NodeStatusState.READY,
      );
    });
  }

  /** The node once it is in this state. */
  nodeIs(nodeId: string, state: NodeStatusState, timeoutMs: number): Promise<Node> {
    return until(`node ${nodeId} is in state ${state}`, timeoutMs, async () => {
      const node = await this.node(nodeId);
      return node.status.state === state && node;
    });
  }

  async createService(spec: Init<ServiceSpec>): Promise<Service> {
    const { service } = await this.control.CreateService({ spec });
    if (service === undefined) throw new Error('the manager answered without the service');
    return service;
  }

  async tasks(service: Service): Promise<readonly Task[]> {
    const filters = { serviceIds: [service.id] };
    return (await this.control.ListTasks({ filters }, { timeoutMs: 2000 })).tasks;
  }

  /** The service's tasks that run and are to run, once there are exactly `count`. */
  async running(service: Service, count: number, timeoutMs = 20_000): Promise<readonly Task[]> {
    const { RUNNING } = TaskState;
    let seen: readonly Task[] = [];
    try {
      return await until(`${count} tasks of ${service.id} run`, timeoutMs, async () => {
        seen = await this.tasks(service);
        const wanted = seen.filter((t) => t.desiredState <= RUNNING);
        const here = wanted.filter((t) => t.status.state === RUNNING);
        return here.length === count && wanted.length === count ? here : undefined;
      });
    } catch (cause) {
      throw new Error(`tasks of ${service.id}:\n${briefly(seen)}`, { cause });
    }
  }

  /** The service's one task, running. */
  async onlyTask(service: Service): Promise<Task> {
    const [task] = await this.running(service, 1);
    if (task === undefined) throw new Error('one is not none');
    return task;
  }

  /** Removes the service; resolves when none of its tasks is left. */
  async remove(service: Service): Promise<void> {
    await this.control.RemoveService({ serviceId: service.id });
    await until(`the tasks of ${service.id} are gone`, 20_000, async () => {
      return (await this.tasks(service)).length === 0;
    });
  }

  /** The messages of a log subscription, until it ends or `signal` ends it. */
  async *logs(
    request: Init<SubscribeLogsRequest>,
    signal: AbortSignal,
  ): AsyncGenerator<LogMessage, void> {
    const answers = this.#channel.service('Logs').SubscribeLogs(request, { signal });
    for await (const { messages } of answers) yield* messages;
  }
}
