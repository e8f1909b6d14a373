/**
 * The tasks that are on networks of the cluster: what they hold, and what new ones wait for.
 *
 * A task gets an address in each family of each of its networks, all at once or none.
 */
import assert from 'node:assert/strict';
import type { Address } from '../../../shared/model/addresses.ts';
import { formatAddress, parseAddress, parseCidr } from '../../../shared/model/addresses.ts';
import { type AddressSpace, type Held } from './address-space.ts';
import type { NetworkEntry, NetworkTable } from './network-table.ts';
import type { NodeEntry, NodeTable } from './node-table.ts';
import type { ServiceEntry, ServiceTable } from './service-table.ts';
import { RANK, Waiter, WaitList } from './wait-list.ts';

/** What tasks ask for that were requested together. */
export type Shape = {
  /** 0 for tasks of no service. */
  readonly service: number;
  readonly networks: readonly number[];
  /** For each network the addresses asked for by name; a text is one that is no address. */
  readonly wanted: readonly (readonly (Address | string)[])[];
};

/** A new shape; `wanted` has comma-separated addresses for each network. */
export function makeShape(
  service: number,
  networks: readonly number[],
  wanted: readonly string[],
): Shape {
  return {
    service,
    networks,
    wanted: networks.map((_, i) => {
      const texts = (wanted[i] ?? '').split(',').filter((text) => text !== '');
      return texts.map((text) => parseAddress(text) ?? parseCidr(text)?.address ?? text);
    }),
  };
}

export class TaskEntry extends Waiter {
  readonly handle: number;
  /** What it asks for; undefined once it has it. */
  shape: Shape | undefined;
  node: NodeEntry | undefined;
  /** The networks it is on. */
  networks: readonly NetworkEntry[] = [];
  held: readonly Held[] = [];
  /** An address it wants by name and waits for. */
  wantedIn: { readonly space: AddressSpace; readonly value: bigint } | undefined;

  constructor(handle: number, shape: Shape | undefined, node: NodeEntry | undefined) {
    super(RANK.task);
    this.handle = handle;
    this.shape = shape;
    this.node = node;
  }
}

/** What a task has been given: for each network its addresses, joined with commas. */
export type TaskGrant = {
  readonly networks: readonly number[];
  readonly addresses: readonly string[];
};

/** One network of a task, and the addresses on it that it asks for by name. */
type Wish = { readonly network: NetworkEntry; readonly wanted: Shape['wanted'][number] };

export type TaskTableOptions = {
  readonly networks: NetworkTable;
  readonly services: ServiceTable;
  readonly nodes: NodeTable;
};

export class TaskTable {
  readonly #networks: NetworkTable;
  readonly #services: ServiceTable;
  readonly #nodes: NodeTable;
  readonly #tasks = new Map<number, TaskEntry>();
  /** Tasks whose service is gone: they wait for their end. */
  readonly #orphans = new WaitList();

  constructor(options: TaskTableOptions) {
    this.#networks = options.networks;
    this.#services = options.services;
    this.#nodes = options.nodes;
  }

  /** Adds a task that wants addresses. */
  add(handle: number, shape: Shape, node: number): TaskEntry {
    assert.ok(!this.#tasks.has(handle), `task ${handle} is new`);
    const task = new TaskEntry(handle, shape, this.#nodes.get(node));
    this.#tasks.set(handle, task);
    return task;
  }

  /** Adds a task that has addresses; for each network their CIDR forms joined with commas. */
  hold(handle: number, has: TaskGrant & { readonly node: number }): void {
    const { networks, addresses, node } = has;
    assert.ok(!this.#tasks.has(handle), `task ${handle} is new`);
    const task = new TaskEntry(handle, undefined, this.#nodes.get(node));
    this.#tasks.set(handle, task);
    const held: Held[] = [];
    const entries: NetworkEntry[] = [];
    for (const [i, networkHandle] of networks.entries()) {
      const network = this.#networks.get(networkHandle);
      if (network === undefined) continue;
      entries.push(network);
      for (const text of (addresses[i] ?? '').split(',')) {
        const holding = text === '' ? undefined : this.#networks.hold(network, text);
        if (holding?.held !== undefined) held.push(holding.held);
      }
    }
    this.#settle(task, entries, held);
  }

  /** The task has been given to a node. */
  place(handle: number, node: number): void {
    const task = this.#tasks.get(handle);
    assert.ok(task !== undefined, `task ${handle} is known`);
    assert.ok(task.node === undefined, `task ${handle} has no node yet`);
    task.node = this.#nodes.get(node);
    if (task.shape === undefined && task.node !== undefined) {
      this.#nodes.use(task.node, task.networks);
    }
  }

  /** Frees all that the task had, or lets it wait no more. */
  remove(handle: number): void {
    const task = this.#tasks.get(handle);
    assert.ok(task !== undefined, `task ${handle} is known`);
    this.#tasks.delete(handle);
    task.leave();
    task.text = '';
    forgetWanted(task);
    if (task.node !== undefined && task.shape === undefined) {
      this.#nodes.unuse(task.node, task.networks);
    }
    for (const held of task.held) held.space.release(held);
  }

  /** The tasks of the service that wait for an address of the network, in their order. */
  waitingIn(network: NetworkEntry, service: ServiceEntry): TaskEntry[] {
    return network.spaces
      .flatMap(({ queue }) => [...queue.waiters(RANK.task)])
      .filter(
        (waiter): waiter is TaskEntry =>
          waiter instanceof TaskEntry && waiter.shape?.service === service.handle,
      );
  }

  /** Tries to give the task all it asks for; on failure it waits, and the text says for what. */
  tryAllocate(task: TaskEntry): TaskGrant | string {
    const { shape } = task;
    assert.ok(shape !== undefined, 'only a task that asks is tried');
    forgetWanted(task);
    const service = shape.service === 0 ? undefined : this.#services.get(shape.service);
    const problem = this.#waitForService(task, shape, service);
    if (problem !== '') return problem;
    const wishes = this.#wishes(shape, service);
    for (const wish of wishes) {
      const text = this.#waitForNetwork(task, wish);
      if (text !== '') return text;
    }
    const held: Held[] = [];
    const addresses = wishes.map((wish) => {
      const taken = takeAddresses(wish);
      held.push(...taken);
      return taken.map(({ pool, value }) => pool.format(value)).join(',');
    });
    const networks = wishes.map(({ network }) => network);
    this.#settle(task, networks, held);
    return { networks: networks.map(({ handle }) => handle), addresses };
  }

  #settle(task: TaskEntry, networks: readonly NetworkEntry[], held: readonly Held[]): void {
    task.shape = undefined;
    task.networks = networks;
    task.held = held;
    if (task.node !== undefined) this.#nodes.use(task.node, networks);
  }

  #waitForService(task: TaskEntry, shape: Shape, service: ServiceEntry | undefined): string {
    if (shape.service === 0) return '';
    if (service === undefined) {
      task.join(this.#orphans);
      return 'could not find service for task';
    }
    if (service.allocated) return '';
    task.join(service.tasks);
    const why = service.text === '' ? '' : `: ${service.text}`;
    return `service ${service.wants.name} has pending allocations${why}`;
  }

  /** The networks the task is to be on: ingress first, if its service publishes ports there. */
  #wishes(shape: Shape, service: ServiceEntry | undefined): Wish[] {
    const ingress = service?.usesIngress === true ? this.#networks.ingress : undefined;
    const wishes: Wish[] = ingress === undefined ? [] : [{ network: ingress, wanted: [] }];
    for (const [i, handle] of shape.networks.entries()) {
      const network = this.#networks.get(handle);
      if (network === undefined || wishes.some((wish) => wish.network === network)) continue;
      wishes.push({ network, wanted: shape.wanted[i] ?? [] });
    }
    return wishes;
  }

  /** Whether the network has what the task wishes; if not, the task waits and the text says why. */
  #waitForNetwork(task: TaskEntry, wish: Wish): string {
    const { network, wanted } = wish;
    if (network.grant === undefined) {
      network.queue.join(task);
      return network.describePending();
    }
    for (const address of wanted) {
      const problem = this.#waitForWanted(task, network, address);
      if (problem !== '') return `could not find an available IP: ${problem}`;
    }
    for (const space of network.spaces) {
      if (space.hasFree || isNamed(space, wanted)) continue;
      space.queue.join(task);
      return `could not find an available IP: ${space.describeFull()}`;
    }
    return '';
  }

  #waitForWanted(task: TaskEntry, network: NetworkEntry, address: Address | string): string {
    // What can never be had is waited for where the end of the network is heard of.
    if (typeof address === 'string') {
      network.queue.join(task);
      return `"${address}" is not an IP address`;
    }
    const space = network.spaces.find(({ family }) => family === address.family);
    const pool = space?.poolOf(address);
    if (space === undefined || pool?.isUsable(address.value) !== true) {
      network.queue.join(task);
      const subnets = network.spaces.flatMap(({ pools }) => pools.map(({ text }) => text));
      return (
        `address ${formatAddress(address)} is not one of network ${network.name} ` +
        `(${subnets.join(', ')})`
      );
    }
    if (!pool.has(address.value)) return '';
    task.wantedIn = { space, value: address.value };
    task.join(space.wantedList(address.value));
    return `address ${formatAddress(address)} of network ${network.name} is already in use`;
  }
}

/** Whether an address of the family is asked for by name, so that no other one is due. */
function isNamed(space: AddressSpace, wanted: Wish['wanted']): boolean {
  return wanted.some((address) => typeof address !== 'string' && address.family === space.family);
}

/** Takes what a wish asks for; that it is to be had has been seen. */
function takeAddresses({ network, wanted }: Wish): Held[] {
  const held: Held[] = [];
  for (const space of network.spaces) {
    if (!isNamed(space, wanted)) {
      held.push(space.take());
      continue;
    }
    for (const address of wanted) {
      if (typeof address === 'string' || address.family !== space.family) continue;
      const pool = space.poolOf(address);
      // The same address named twice is one address.
      if (pool?.claim(address.value) === true) held.push({ space, pool, value: address.value });
    }
  }
  return held;
}

function forgetWanted(task: TaskEntry): void {
  const { wantedIn } = task;
  task.wantedIn = undefined;
  wantedIn?.space.forgetWanted(wantedIn.value);
}
