/**
 * The services: their virtual addresses and published ports.
 *
 * A service gets all it wants or nothing new: until then it keeps what it has, since that is what the
 * store says of it, and its new tasks wait. What it no longer wants is freed only with the answer.
 */
import assert from 'node:assert/strict';
import type { AddressOn, PublishedPort } from '../../../shared/lanes/allocation.ts';
import { type Holding, holdingOf } from './address-space.ts';
import type { Agenda } from './agenda.ts';
import type { NetworkEntry, NetworkTable } from './network-table.ts';
import { dynamicKeyOf, isPossible, PortBook, portKey, type PortKey } from './port-book.ts';
import { RANK, Waiter, WaitList } from './wait-list.ts';

/** What a service wants, as the latest revision of its spec says. */
export type ServiceWants = {
  readonly revision: number;
  readonly name: string;
  readonly wantsVips: boolean;
  readonly networks: readonly number[];
  readonly ports: readonly PublishedPort[];
};

export class ServiceEntry extends Waiter {
  readonly handle: number;
  wants: ServiceWants;
  readonly vips = new Map<NetworkEntry, Holding>();
  /** Its ports in ingress mode, with their numbers. */
  heldPorts: readonly PublishedPort[] = [];
  /** Whether it has all it wants. */
  allocated = false;
  /** Its tasks that wait until it has. */
  readonly tasks = new WaitList();

  constructor(handle: number, wants: ServiceWants) {
    super(RANK.service);
    this.handle = handle;
    this.wants = wants;
  }

  /** Whether its tasks are on the ingress network. */
  get usesIngress(): boolean {
    return this.wants.ports.some((port) => !port.host);
  }
}

/** What a service has been given. */
export type ServiceGrant = {
  readonly vips: readonly AddressOn[];
  readonly published: readonly number[];
};

export class ServiceTable {
  readonly #agenda: Agenda;
  readonly #networks: NetworkTable;
  readonly #ports = new PortBook();
  readonly #services = new Map<number, ServiceEntry>();
  /** Services that wait for a port; at most one list for each port there is. */
  readonly #portLists = new Map<PortKey, WaitList>();

  constructor(agenda: Agenda, networks: NetworkTable) {
    this.#agenda = agenda;
    this.#networks = networks;
  }

  get(handle: number): ServiceEntry | undefined {
    return this.#services.get(handle);
  }

  /** Adds a service that has the given addresses and ports already. */
  add(
    handle: number,
    wants: ServiceWants,
    has: { readonly vips: readonly AddressOn[]; readonly ports: readonly PublishedPort[] },
  ): void {
    assert.ok(!this.#services.has(handle), `service ${handle} is new`);
    const service = new ServiceEntry(handle, wants);
    this.#services.set(handle, service);
    for (const { network: networkHandle, address } of has.vips) {
      const network = this.#networks.get(networkHandle);
      if (network === undefined || service.vips.has(network)) continue;
      service.vips.set(network, this.#networks.hold(network, address));
    }
    service.heldPorts = distinctPorts(has.ports);
    for (const port of service.heldPorts) {
      if (this.#ports.hold(portKey(port.protocol, port.published), wants.name)) continue;
      this.#agenda.notices.push(`port ${port.published} is published by more than one service`);
    }
    this.#agenda.wake(service);
  }

  /** The service wants something else from now on. */
  change(service: ServiceEntry, wants: ServiceWants): void {
    service.wants = wants;
    service.allocated = false;
    this.#agenda.wake(service);
  }

  /** Frees all that the service had. */
  remove(service: ServiceEntry): void {
    service.leave();
    this.#services.delete(service.handle);
    for (const holding of service.vips.values()) release(holding);
    for (const port of service.heldPorts) this.#releasePort(port);
    this.#agenda.wakeAll(service.tasks.drain());
  }

  /** Lets go of addresses on a network that is no more. */
  networkGone(network: NetworkEntry): void {
    for (const service of this.#services.values()) {
      if (service.vips.delete(network)) this.change(service, service.wants);
    }
  }

  /** The ingress network, if the service is on it and wants to be there no more. */
  ingressLeftBy(service: ServiceEntry): NetworkEntry | undefined {
    const { ingress } = this.#networks;
    const isOn = ingress !== undefined && service.vips.has(ingress);
    return isOn && !service.usesIngress ? ingress : undefined;
  }

  /** Tries to give the service all it wants; on failure it waits, and the text says for what. */
  tryAllocate(service: ServiceEntry): ServiceGrant | string {
    const { wants } = service;
    const networks = this.#vipNetworks(service);
    if (typeof networks === 'string') return networks;
    for (const network of networks) {
      const problem = this.#waitForVip(service, network);
      if (problem !== '') return problem;
    }
    const plan = this.#ports.plan(wants.ports, service.heldPorts);
    if (!plan.ok) {
      service.join(this.#portList(plan.key));
      return plan.text;
    }
    service.allocated = true;
    const published = this.#takePorts(service, plan.published);
    this.#takeVips(service, networks);
    this.#agenda.wakeAll(service.tasks.drain());
    const vips = [...service.vips].map(([network, { text }]) => ({
      network: network.handle,
      address: text,
    }));
    return { vips, published };
  }

  /** The networks on which the service wants an address, or what it waits for to know. */
  #vipNetworks(service: ServiceEntry): readonly NetworkEntry[] | string {
    const networks = new Set<NetworkEntry>();
    if (service.usesIngress) {
      if (this.#networks.ingress === undefined) {
        this.#networks.ingressQueue.join(service);
        return 'ingress network is missing';
      }
      networks.add(this.#networks.ingress);
    }
    for (const handle of service.wants.wantsVips ? service.wants.networks : []) {
      const network = this.#networks.get(handle);
      if (network !== undefined) networks.add(network);
    }
    return [...networks];
  }

  #waitForVip(service: ServiceEntry, network: NetworkEntry): string {
    if (service.vips.has(network)) return '';
    if (network.grant === undefined) {
      network.queue.join(service);
      return network.describePending();
    }
    const [space] = network.spaces;
    if (space === undefined || space.hasFree) return '';
    space.queue.join(service);
    return `could not find an available IP while allocating VIP: ${space.describeFull()}`;
  }

  #takeVips(service: ServiceEntry, networks: readonly NetworkEntry[]): void {
    for (const [network, holding] of service.vips) {
      if (networks.includes(network)) continue;
      service.vips.delete(network);
      release(holding);
    }
    for (const network of networks) {
      const [space] = network.spaces;
      if (space === undefined || service.vips.has(network)) continue;
      service.vips.set(network, holdingOf(space.take()));
    }
  }

  #takePorts(service: ServiceEntry, plan: readonly number[]): readonly number[] {
    const before = service.heldPorts;
    const mine = new Set(before.map((port) => portKey(port.protocol, port.published)));
    const { ports, name } = service.wants;
    const published = this.#ports.commit(ports, plan, { mine, owner: name });
    service.heldPorts = distinctPorts(
      ports.map((port, i) => ({ ...port, published: published[i] ?? 0 })),
    );
    const after = new Set(service.heldPorts.map((port) => portKey(port.protocol, port.published)));
    for (const port of before) {
      if (!after.has(portKey(port.protocol, port.published))) this.#releasePort(port);
    }
    return published;
  }

  #releasePort(port: PublishedPort): void {
    const key = portKey(port.protocol, port.published);
    if (!this.#ports.release(key)) return;
    for (const wanted of [key, dynamicKeyOf(key)]) {
      const list = wanted === undefined ? undefined : this.#portLists.get(wanted);
      if (list === undefined || wanted === undefined) continue;
      // Those who still cannot have it learn who has it now.
      this.#agenda.singles.push({ isFree: () => true, list });
    }
  }

  #portList(key: PortKey): WaitList {
    let list = this.#portLists.get(key);
    if (list === undefined) {
      list = new WaitList();
      this.#portLists.set(key, list);
    }
    return list;
  }
}

function release(holding: Holding): void {
  if (holding.held !== undefined) holding.held.space.release(holding.held);
}

/** Ports in ingress mode that have a number, each number once. */
function distinctPorts(ports: readonly PublishedPort[]): PublishedPort[] {
  const seen = new Set<PortKey>();
  return ports.filter((port) => {
    const key = portKey(port.protocol, port.published);
    const isNumbered = !port.host && port.published !== 0 && isPossible(port);
    if (!isNumbered || seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}
