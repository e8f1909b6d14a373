/**
 * The overlay networks: their subnets, gateways and VXLAN ids, and the address spaces they open.
 */
import assert from 'node:assert/strict';
import type { NetworkGrant, SubnetConfig } from '../../../shared/lanes/allocation.ts';
import type { Address, Subnet } from '../../../shared/model/addresses.ts';
import {
  contains,
  containsSubnet,
  formatAddress,
  formatSubnet,
  parseAddress,
  parseCidr,
  parseSubnet,
} from '../../../shared/model/addresses.ts';
import { AddressPool } from './address-pool.ts';
import { AddressSpace, type Holding } from './address-space.ts';
import type { Agenda } from './agenda.ts';
import { SerialPool } from './serial-pool.ts';
import { SubnetBook } from './subnet-book.ts';
import { RANK, Waiter, WaitQueue } from './wait-list.ts';

/** VXLAN ids have 24 bits; those below are left to engines that choose their own. */
const VXLAN_IDS = { first: 4096, end: 2 ** 24 } as const;

/** What a cluster has that was never told otherwise. */
const DEFAULT_POOLS = { pools: ['10.0.0.0/8'], subnetSize: 24 } as const;

export type NetworkFacts = {
  readonly handle: number;
  readonly name: string;
  readonly ingress: boolean;
  readonly asked: NetworkGrant;
};

export class NetworkEntry extends Waiter {
  readonly handle: number;
  readonly name: string;
  readonly ingress: boolean;
  readonly asked: NetworkGrant;
  /** What it has been given; undefined while it waits. */
  grant: NetworkGrant | undefined;
  /** Its addresses, family 4 first. */
  spaces: readonly AddressSpace[] = [];
  subnets: readonly Subnet[] = [];
  vxlans: readonly number[] = [];
  /** Whether it has been removed; tasks on it may still be there for a while. */
  gone = false;
  /** Those who wait until it is given what it needs. */
  readonly queue = new WaitQueue();

  constructor(facts: NetworkFacts) {
    super(RANK.network);
    this.handle = facts.handle;
    this.name = facts.name;
    this.ingress = facts.ingress;
    this.asked = facts.asked;
  }

  /** Why nobody can be attached to it yet. */
  describePending(): string {
    const why = this.text === '' ? '' : `: ${this.text}`;
    return `network ${this.name} is not allocated yet${why}`;
  }
}

/** A subnet that was asked for, as far as the text says. */
type Asked = {
  readonly subnet: Subnet | undefined;
  readonly range: Subnet | undefined;
  readonly gateway: Address | undefined;
  readonly reserved: readonly Address[];
  readonly config: SubnetConfig;
};

const ANY_SUBNET: SubnetConfig = { subnet: '', range: '', gateway: '', reserved: [] };

/** Thrown inside this module only: what the user asked for cannot be had. */
class Refusal extends Error {}

export class NetworkTable {
  readonly #agenda: Agenda;
  readonly #networks = new Map<number, NetworkEntry>();
  readonly #vxlans = new SerialPool({
    size: VXLAN_IDS.end,
    low: VXLAN_IDS.first,
    high: VXLAN_IDS.end,
  });
  #book = makeBook(DEFAULT_POOLS.pools, DEFAULT_POOLS.subnetSize);
  #ingress: NetworkEntry | undefined;
  /** Services that publish ports while there is no ingress network. */
  readonly ingressQueue = new WaitQueue();

  constructor(agenda: Agenda) {
    this.#agenda = agenda;
  }

  /** The network that carries published ports; the first one that claimed to be it. */
  get ingress(): NetworkEntry | undefined {
    return this.#ingress;
  }

  get(handle: number): NetworkEntry | undefined {
    return this.#networks.get(handle);
  }

  values(): IterableIterator<NetworkEntry> {
    return this.#networks.values();
  }

  /** Sets the default address pools; before any network. */
  setPools(pools: readonly string[], subnetSize: number): void {
    assert.equal(this.#networks.size, 0, 'the pools come before the networks');
    this.#book = makeBook(
      pools.length === 0 ? DEFAULT_POOLS.pools : pools,
      subnetSize === 0 ? DEFAULT_POOLS.subnetSize : subnetSize,
    );
  }

  /** Adds a network; with a grant it keeps exactly that, without it is tried in this turn. */
  add(facts: NetworkFacts, granted: NetworkGrant | undefined): NetworkEntry {
    assert.ok(!this.#networks.has(facts.handle), `network ${facts.handle} is new`);
    const entry = new NetworkEntry(facts);
    this.#networks.set(entry.handle, entry);
    if (granted === undefined) this.#agenda.wake(entry);
    else this.#keep(entry, granted);
    if (entry.ingress && this.#ingress === undefined) this.#setIngress(entry);
    return entry;
  }

  /** Frees what the network had. Those who waited for it are tried without it. */
  remove(entry: NetworkEntry): void {
    entry.leave();
    entry.gone = true;
    this.#networks.delete(entry.handle);
    if (this.#ingress === entry) this.#ingress = undefined;
    for (const subnet of entry.subnets) this.#book.release(subnet, entry.name);
    for (const id of entry.vxlans) this.#vxlans.release(id);
    this.#agenda.wakeAll(entry.queue.drain());
    for (const space of entry.spaces) this.#agenda.wakeAll(space.drain());
    this.#agenda.wakeAll(this.#agenda.networks.drain());
  }

  /** Gives the network what it asks for; undefined when it has it, else why not. */
  grant(entry: NetworkEntry): string | undefined {
    if (entry.ingress && this.#ingress === undefined) this.#setIngress(entry);
    if (entry.ingress && this.#ingress !== undefined && this.#ingress !== entry) {
      return `ingress network (${this.#ingress.name}) is already present`;
    }
    try {
      this.#give(entry);
      return undefined;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      const { name } = entry;
      return `failed allocating pools and gateway IP for network ${name}: ${error.message}`;
    }
  }

  /** Takes an address that the store says is held on the network. */
  hold(entry: NetworkEntry, text: string): Holding {
    const address = parseCidr(text)?.address;
    const space = entry.spaces.find(({ family }) => family === address?.family);
    const pool = address === undefined ? undefined : space?.poolOf(address);
    if (address === undefined || space === undefined || pool === undefined) {
      this.#agenda.notices.push(`address ${text} lies in no subnet of network ${entry.name}`);
      return { text, held: undefined };
    }
    if (!pool.hold(address.value)) {
      this.#agenda.notices.push(
        `address ${text} of network ${entry.name} has more than one holder`,
      );
    }
    return { text, held: { space, pool, value: address.value } };
  }

  #setIngress(entry: NetworkEntry): void {
    this.#ingress = entry;
    this.#agenda.wakeAll(this.ingressQueue.drain());
  }

  #give(entry: NetworkEntry): void {
    const asked = (entry.asked.configs.length === 0 ? [ANY_SUBNET] : entry.asked.configs).map(
      parseConfig,
    );
    const vxlans = this.#askedVxlans(entry.asked.vxlans);
    const subnets = this.#takeSubnets(entry, asked);
    const count = Math.max(1, subnets.filter(({ family }) => family === 4).length);
    if (this.#vxlans.free < count) {
      for (const subnet of subnets) this.#book.release(subnet, entry.name);
      throw new Refusal('no free VXLAN id');
    }
    for (const id of vxlans) this.#vxlans.claim(id);
    while (vxlans.length < count) vxlans.push(this.#vxlans.take() ?? 0);

    const opened = asked.map((one, i) => openSubnet(one, subnets[i]));
    this.#open(
      entry,
      opened.map(({ pool }) => pool),
    );
    entry.subnets = subnets;
    entry.vxlans = vxlans;
    entry.grant = { configs: opened.map(({ config }) => config), vxlans: vxlans.join(',') };
  }

  /** Takes a block for each subnet asked for, or none of them. */
  #takeSubnets(entry: NetworkEntry, asked: readonly Asked[]): readonly Subnet[] {
    const taken = new Map<Asked, Subnet>();
    // Those it names come first, so that no block given for the others lies in their way.
    const named = asked.filter(({ subnet }) => subnet !== undefined);
    try {
      for (const one of new Set([...named, ...asked])) {
        taken.set(one, this.#takeSubnet(entry, one));
      }
      return asked.map((one) => taken.get(one)).filter((subnet) => subnet !== undefined);
    } catch (error) {
      for (const subnet of taken.values()) this.#book.release(subnet, entry.name);
      throw error;
    }
  }

  #takeSubnet(entry: NetworkEntry, asked: Asked): Subnet {
    if (asked.subnet === undefined) {
      const subnet = this.#book.take(entry.name);
      if (subnet === undefined) throw new Refusal(this.#book.describeFull());
      return subnet;
    }
    const other = this.#book.overlapping(asked.subnet);
    if (other !== undefined) {
      throw new Refusal(
        `subnet ${formatSubnet(asked.subnet)} overlaps with subnet ` +
          `${formatSubnet(other.subnet)} of network ${other.owner}`,
      );
    }
    this.#book.hold(asked.subnet, entry.name);
    return asked.subnet;
  }

  #askedVxlans(text: string): number[] {
    return parseVxlans(text).map((id) => {
      if (!isVxlanId(id)) throw new Refusal(`invalid VXLAN id list "${text}"`);
      if (this.#vxlans.has(id)) throw new Refusal(`VXLAN id ${id} is already in use`);
      return id;
    });
  }

  /** Takes over what the store says the network has, right or not. */
  #keep(entry: NetworkEntry, granted: NetworkGrant): void {
    const pools: AddressPool[] = [];
    const subnets: Subnet[] = [];
    for (const config of granted.configs) {
      const subnet = parseSubnet(config.subnet);
      if (subnet === undefined) {
        this.#agenda.notices.push(`network ${entry.name} has subnet "${config.subnet}"`);
        continue;
      }
      this.#noteOverlap(entry, subnet);
      this.#book.restore(subnet, entry.name);
      subnets.push(subnet);
      const range = parseSubnet(config.range);
      const inside = range !== undefined && containsSubnet(subnet, range);
      const pool = new AddressPool(subnet, inside ? range : subnet);
      for (const text of [config.gateway, ...config.reserved]) {
        const address = parseHost(text);
        if (address !== undefined && pool.contains(address)) pool.claim(address.value);
      }
      pools.push(pool);
    }
    entry.vxlans = parseVxlans(granted.vxlans).filter(isVxlanId);
    for (const id of entry.vxlans) {
      this.#vxlans.resumeAfter(id);
      if (!this.#vxlans.hold(id)) this.#agenda.notices.push(`VXLAN id ${id} has two networks`);
    }
    this.#open(entry, pools);
    entry.subnets = subnets;
    entry.grant = granted;
  }

  #noteOverlap(entry: NetworkEntry, subnet: Subnet): void {
    const other = this.#book.overlapping(subnet);
    if (other === undefined) return;
    this.#agenda.notices.push(
      `subnet ${formatSubnet(subnet)} of network ${entry.name} overlaps with subnet ` +
        `${formatSubnet(other.subnet)} of network ${other.owner}`,
    );
  }

  #open(entry: NetworkEntry, pools: readonly AddressPool[]): void {
    entry.spaces = ([4, 6] as const)
      .map((family) => pools.filter((pool) => pool.family === family))
      .filter((ofFamily) => ofFamily.length > 0)
      .map((ofFamily) => new AddressSpace(entry.name, ofFamily, this.#agenda));
  }
}

function makeBook(pools: readonly string[], subnetSize: number): SubnetBook {
  const subnets = pools.map(parseSubnet).filter((subnet) => subnet !== undefined);
  return new SubnetBook(subnets, subnetSize);
}

function parseVxlans(text: string): number[] {
  return text === '' ? [] : [...new Set(text.split(',').map(Number))];
}

function isVxlanId(id: number): boolean {
  return Number.isInteger(id) && id > 0 && id < VXLAN_IDS.end;
}

/** An address, with or without the length of its network. */
function parseHost(text: string): Address | undefined {
  return parseAddress(text) ?? parseCidr(text)?.address;
}

function parseConfig(config: SubnetConfig): Asked {
  const subnet = parseSubnet(config.subnet);
  if (config.subnet !== '' && subnet === undefined) {
    throw new Refusal(`invalid subnet ${config.subnet}`);
  }
  const range = parseSubnet(config.range);
  if (config.range !== '' && range === undefined) {
    throw new Refusal(`invalid range ${config.range}`);
  }
  const gateway = parseHost(config.gateway);
  if (config.gateway !== '' && gateway === undefined) {
    throw new Refusal(`invalid gateway ${config.gateway}`);
  }
  const reserved = config.reserved.map((text) => {
    const address = parseHost(text);
    if (address === undefined) throw new Refusal(`invalid reserved address ${text}`);
    return address;
  });
  const asked = { subnet, range, gateway, reserved, config };
  checkInside(asked);
  return asked;
}

/** What is named inside a subnet must lie in it, so the subnet must be named too. */
function checkInside(asked: Asked): void {
  const { subnet, range, gateway, reserved, config } = asked;
  const name = config.subnet === '' ? '(none)' : config.subnet;
  if (range !== undefined && (subnet === undefined || !containsSubnet(subnet, range))) {
    throw new Refusal(`subnet ${name} does not contain range ${config.range}`);
  }
  if (gateway !== undefined && (subnet === undefined || !contains(subnet, gateway))) {
    throw new Refusal(`subnet ${name} does not contain gateway ${config.gateway}`);
  }
  for (const address of reserved) {
    if (subnet !== undefined && contains(subnet, address)) continue;
    throw new Refusal(`subnet ${name} does not contain address ${formatAddress(address)}`);
  }
}

/** Opens a subnet that the network has been given, with its gateway taken. */
function openSubnet(
  asked: Asked,
  subnet: Subnet | undefined,
): { pool: AddressPool; config: SubnetConfig } {
  assert.ok(subnet !== undefined, 'each subnet asked for was given');
  const pool = new AddressPool(subnet, asked.range);
  for (const address of asked.reserved) pool.claim(address.value);
  if (asked.gateway !== undefined) pool.claim(asked.gateway.value);
  const gateway = asked.gateway?.value ?? pool.claimFirst();
  return {
    pool,
    config: {
      subnet: pool.text,
      range: asked.config.range,
      gateway: gateway === undefined ? '' : formatAddress({ family: pool.family, value: gateway }),
      reserved: asked.config.reserved,
    },
  };
}
