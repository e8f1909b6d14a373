/**
 * What the allocator's thread is told. Commits only mark what to look at; looking compares an object
 * as it is committed now with what the thread has been told of it. So nothing depends on hearing every
 * change, and a new thread is told everything by marking everything.
 *
 * Networks are looked at before services, these before nodes, and tasks last, so that whatever a
 * message speaks of has been told before.
 */
import {
  networkRefs,
  plainEndpointOf,
  publishesIngress,
} from '../../../shared/model/allocation.ts';
import { isIngressNetwork } from '../../../shared/model/networks.ts';
import { millisOf } from '../../../shared/model/time.ts';
import type { ToAllocator } from '../../../shared/lanes/allocation.ts';
import type { Network, Node, Service } from '../../../shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { Change } from '../../store/transaction.ts';
import type { TaskRow, View } from '../../store/view.ts';
import { askedOf, grantedOf, isOurs, portsOf, wantsVips } from './facts.ts';
import { Handles, type Known, Roster } from './roster.ts';
import { TaskGroups } from './task-groups.ts';
import type { Write } from './writer.ts';

export type KnownService = Known & {
  /** Counts the specs that the thread was told of. */
  revision: number;
  /** The one it was told last. */
  spec: ServiceSpec;
};

export type KnownTask = Known & {
  /** Whether the thread knows its node. */
  placed: boolean;
};

export type FeedOptions = {
  readonly send: (message: ToAllocator) => void;
  /** What needs no thread is written without one. */
  readonly write: (write: Write) => void;
};

/** Objects looked at between two looks at the clock. */
const OBJECTS_PER_LOOK = 32;

/** How the tasks of one service version are attached. */
type TaskPlan = { readonly networks: readonly number[]; readonly wanted: readonly string[] };

const isIngress = (network: Network): boolean => isIngressNetwork(network.spec);

/** In order of creation; the store promises none. */
function byAge<T extends Pick<Network | Node | Service, 'id' | 'meta'>>(objects: Iterable<T>): T[] {
  return [...objects].toSorted(
    (a, b) =>
      millisOf(a.meta.createdAt) - millisOf(b.meta.createdAt) ||
      a.meta.version.index - b.meta.version.index ||
      (a.id < b.id ? -1 : 1),
  );
}

export class Feed {
  readonly networks = new Roster<Known>();
  readonly services = new Roster<KnownService>();
  readonly nodes = new Roster<Known>();
  readonly tasks = new Roster<KnownTask>();
  readonly #options: FeedOptions;
  readonly #handles = new Handles();
  readonly #groups = new TaskGroups();
  readonly #dirty = {
    network: new Set<string>(),
    service: new Set<string>(),
    node: new Set<string>(),
    task: new Set<string>(),
  };
  /** Whether the present run has said anything. */
  #hasSaid = false;
  /** Plans of the present run, by service and spec version. */
  readonly #plans = new Map<string, TaskPlan>();

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** Whether there is something to look at. */
  get isDirty(): boolean {
    return Object.values(this.#dirty).some((ids) => ids.size > 0);
  }

  /** Whether the numbers run out, and a new thread should be told everything under new ones. */
  get isWornOut(): boolean {
    return this.#handles.isLow;
  }

  /** Begins for a new thread: says the pools, and marks everything. */
  introduce(view: View): void {
    const [cluster] = view.clusters.all();
    this.#send({
      t: 'pools',
      pools: cluster?.defaultAddressPool ?? [],
      subnetSize: cluster?.subnetSize ?? 0,
    });
    // The ingress network comes first, and then the older before the younger: who waits longest is
    // served first, and a new cluster always gets the same subnets.
    const networks = byAge(view.networks.all());
    const first = networks.toSorted((a, b) => Number(isIngress(b)) - Number(isIngress(a)));
    for (const network of first) this.#dirty.network.add(network.id);
    for (const service of byAge(view.services.all())) this.#dirty.service.add(service.id);
    for (const node of byAge(view.nodes.all())) this.#dirty.node.add(node.id);
    for (const task of view.tasks.all()) {
      if (task.state <= TaskState.RUNNING) this.#dirty.task.add(task.id);
    }
  }

  /** Marks what a change is about, if it can concern the allocator. */
  mark(change: Change): void {
    const { kind, action } = change;
    if (kind === 'task') {
      const known = this.tasks.get(change.object.id);
      if (concernsUs(change, known)) this.#dirty.task.add(change.object.id);
    } else if (kind === 'network' || kind === 'node') {
      if (action !== 'update') this.#dirty[kind].add(change.object.id);
    } else if (kind === 'service') {
      if (action === 'update' && change.old.spec === change.object.spec) return;
      this.#dirty.service.add(change.object.id);
    }
  }

  /**
   * Looks at what is marked, for as long as `goOn` says yes.
   *
   * @returns whether anything was said
   */
  run(view: View, goOn: () => boolean): boolean {
    this.#plans.clear();
    this.#hasSaid = false;
    const kinds = [
      ['network', (id: string) => this.#network(view, id)],
      ['service', (id: string) => this.#service(view, id)],
      ['node', (id: string) => this.#node(view, id)],
      ['task', (id: string) => this.#task(view, id)],
    ] as const;
    let looks = 0;
    let stopped = false;
    for (const [kind, look] of kinds) {
      for (const id of this.#dirty[kind]) {
        looks += 1;
        if (looks % OBJECTS_PER_LOOK === 0 && !goOn()) stopped = true;
        if (stopped) break;
        this.#dirty[kind].delete(id);
        look(id);
      }
    }
    for (const message of this.#groups.take()) this.#send(message);
    return this.#hasSaid;
  }

  #send(message: ToAllocator): void {
    this.#hasSaid = true;
    this.#options.send(message);
  }

  #network(view: View, id: string): void {
    const network = view.networks.get(id);
    const known = this.networks.get(id);
    if (network === undefined) {
      if (known === undefined) return;
      this.networks.delete(id);
      this.#send({ t: 'networkGone', network: known.handle });
    } else if (!isOurs(network)) {
      if (network.driverState === undefined) this.#options.write({ op: 'localNetwork', id });
    } else if (known === undefined) {
      this.#tellNetwork(network);
    }
  }

  #tellNetwork(network: Network): void {
    const { handle } = this.networks.set(network.id, { handle: this.#handles.next() });
    this.#send({
      t: 'network',
      network: handle,
      name: network.spec.annotations.name,
      ingress: isIngressNetwork(network.spec),
      asked: askedOf(network),
      granted: grantedOf(network),
    });
  }

  #service(view: View, id: string): void {
    const service = view.services.get(id);
    const known = this.services.get(id);
    if (service === undefined) {
      if (known === undefined) return;
      this.services.delete(id);
      this.#send({ t: 'serviceGone', service: known.handle });
    } else if (known !== undefined) {
      if (known.spec === service.spec) return;
      known.revision += 1;
      known.spec = service.spec;
      this.#tellService(service, known);
    } else if (this.#needsUs(service)) {
      const { spec } = service;
      const fresh = { handle: this.#handles.next(), revision: 1, spec };
      this.#tellService(service, this.services.set(id, fresh));
    } else {
      this.#settleService(service);
    }
  }

  /** Whether the service, or a task of it, wants something of the allocator or has it already. */
  #needsUs(service: Service): boolean {
    if (publishesIngress(service.spec) || this.#networksOf(service).length > 0) return true;
    const { ports = [], virtualIps = [] } = service.endpoint ?? {};
    const onOurs = virtualIps.some((vip) => this.networks.has(vip.networkId));
    return onOurs || portsOf(ports).some((port) => !port.host);
  }

  /** The numbers of the service's networks that are the allocator's. */
  #networksOf(service: Service): number[] {
    const refs = networkRefs(service.spec.task, service);
    return refs.flatMap(({ target }) => this.networks.get(target)?.handle ?? []);
  }

  #tellService(service: Service, known: KnownService): void {
    const { spec, endpoint } = service;
    this.#send({
      t: 'service',
      service: known.handle,
      revision: known.revision,
      name: spec.annotations.name,
      wantsVips: wantsVips(spec),
      networks: this.#networksOf(service),
      ports: portsOf(spec.endpoint?.ports ?? []),
      heldVips: (endpoint?.virtualIps ?? []).flatMap(({ networkId, addr: address }) => {
        const network = this.networks.get(networkId)?.handle;
        return network === undefined || address === '' ? [] : [{ network, address }];
      }),
      heldPorts: portsOf(endpoint?.ports ?? []).filter((port) => !port.host),
    });
  }

  /** Gives a service that needs no addresses the endpoint that follows from its spec. */
  #settleService(service: Service): void {
    const { id, spec } = service;
    if (plainEndpointOf(spec) === undefined && service.endpoint === undefined) return;
    this.#options.write({ op: 'service', id, spec, vips: [], published: [] });
  }

  #node(view: View, id: string): void {
    const node = view.nodes.get(id);
    const known = this.nodes.get(id);
    if (node === undefined) {
      if (known === undefined) return;
      this.nodes.delete(id);
      this.#send({ t: 'nodeGone', node: known.handle });
    } else if (known === undefined) {
      this.#tellNode(node);
    }
  }

  #tellNode(node: Node): void {
    const { handle } = this.nodes.set(node.id, { handle: this.#handles.next() });
    this.#send({
      t: 'node',
      node: handle,
      attachments: node.attachments.map(({ network, addresses }) => ({
        // A network that is no more has number 0: the thread answers with what is left.
        network: this.networks.get(network?.id ?? '')?.handle ?? 0,
        address: addresses[0] ?? '',
      })),
    });
  }

  #task(view: View, id: string): void {
    const row = view.tasks.get(id);
    const known = this.tasks.get(id);
    if (row === undefined || isOver(row)) {
      if (known !== undefined) {
        this.tasks.delete(id);
        this.#groups.gone(known.handle);
      }
      if (row?.state === TaskState.NEW && row.desiredState === TaskState.SHUTDOWN) {
        this.#options.write({ op: 'unwanted', id });
      }
    } else if (known !== undefined) {
      if (known.placed || row.nodeId === '') return;
      known.placed = true;
      this.#groups.placed(known.handle, this.#nodeHandle(row));
    } else if (row.state === TaskState.NEW) {
      this.#newTask(view, row);
    } else {
      this.#oldTask(row);
    }
  }

  #newTask(view: View, row: TaskRow): void {
    const service = view.services.get(row.serviceId);
    // A task whose service is gone is for the orchestrator to end.
    if (row.serviceId !== '' && service === undefined) return;
    const plan = this.#planOf(row, service);
    const knownService = this.services.get(row.serviceId);
    if (plan.networks.length === 0 && knownService === undefined) {
      this.#options.write({ op: 'task', id: row.id, addresses: [] });
      return;
    }
    const shape = { ...plan, service: knownService?.handle ?? 0 };
    this.#groups.request(shape, this.#addTask(row), this.#nodeHandle(row));
  }

  /** A task that another leader or an earlier thread has given what it holds. */
  #oldTask(row: TaskRow): void {
    if (!row.attached) return;
    const networks: number[] = [];
    const addresses: string[] = [];
    for (const attachment of row.toTask().networks) {
      const network = this.networks.get(attachment.network?.id ?? '');
      if (network === undefined) continue;
      networks.push(network.handle);
      addresses.push(attachment.addresses.join(','));
    }
    if (networks.length === 0) return;
    const handle = this.#addTask(row);
    this.#groups.hold(networks, { task: handle, node: this.#nodeHandle(row), addresses });
  }

  #addTask(row: TaskRow): number {
    const handle = this.#handles.next();
    this.tasks.set(row.id, { handle, placed: row.nodeId !== '' });
    return handle;
  }

  #nodeHandle(row: TaskRow): number {
    return this.nodes.get(row.nodeId)?.handle ?? 0;
  }

  #planOf(row: TaskRow, service: Service | undefined): TaskPlan {
    const key = row.serviceId === '' ? row.id : `${row.serviceId} ${row.specVersion}`;
    let plan = this.#plans.get(key);
    if (plan === undefined) {
      const refs = networkRefs(row.shared().spec, service);
      const ours = refs.filter(({ target }) => this.networks.has(target));
      plan = {
        networks: ours.flatMap(({ target }) => this.networks.get(target)?.handle ?? []),
        wanted: ours.map(({ addresses }) => addresses.join(',')),
      };
      this.#plans.set(key, plan);
    }
    return plan;
  }
}

/** Whether the task holds nothing any more, or will never be given anything. */
function isOver(row: TaskRow): boolean {
  if (row.state > TaskState.RUNNING) return true;
  return row.state === TaskState.NEW && row.desiredState >= TaskState.SHUTDOWN;
}

/** Whether a task's change can make a difference: most changes of a status do not. */
function concernsUs(
  change: Extract<Change, { kind: 'task' }>,
  known: KnownTask | undefined,
): boolean {
  const row = change.object;
  if (change.action === 'remove') return known !== undefined;
  if (row.state === TaskState.NEW) return true;
  if (known === undefined) return change.action === 'create' && row.state <= TaskState.RUNNING;
  return isOver(row) || (!known.placed && row.nodeId !== '');
}
