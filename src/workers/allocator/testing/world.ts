/**
 * A small store around one allocator, for tests: it remembers what was said and answered as plain
 * sets, and checks every answer against them. It is the slow twin: nothing here is counted, cached or
 * kept in order of release; whatever holds is found by looking at everything.
 */
import assert from 'node:assert/strict';
import type {
  AddressOn,
  FromAllocator,
  NetworkGrant,
  PublishedPort,
  SubnetConfig,
  ToAllocator,
} from '../../../shared/lanes/allocation.ts';
import {
  contains,
  formatAddress,
  lastAddress,
  parseAddress,
  parseSubnet,
} from '../../../shared/model/addresses.ts';
import { Allocator } from '../core/allocator.ts';

type NetworkRecord = {
  readonly name: string;
  readonly ingress: boolean;
  readonly asked: NetworkGrant;
  grant: NetworkGrant | undefined;
};

export type ServiceSpec = {
  readonly name?: string;
  readonly vips?: boolean;
  readonly networks?: readonly number[];
  readonly ports?: readonly Partial<PublishedPort>[];
};

type ServiceRecord = {
  spec: Omit<Required<ServiceSpec>, 'ports'> & { readonly ports: readonly PublishedPort[] };
  revision: number;
  /** The revision that was answered last; 0 before the first answer. */
  answered: number;
  vips: readonly AddressOn[];
  published: readonly number[];
  /** The ports that `published` belongs to. */
  publishedFor: readonly PublishedPort[];
};

type TaskRecord = {
  readonly service: number;
  readonly networks: readonly number[];
  readonly wanted: readonly string[];
  node: number;
  /** Undefined while it waits. */
  held: readonly (AddressOn & { readonly addresses: readonly string[] })[] | undefined;
};

export type NetworkInit = Partial<SubnetConfig> & {
  readonly name?: string;
  readonly ingress?: boolean;
  readonly vxlans?: string;
  /** Several subnets; each may be only its CIDR text. */
  readonly configs?: readonly (Partial<SubnetConfig> | string)[];
};

export class World {
  readonly networks = new Map<number, NetworkRecord>();
  readonly services = new Map<number, ServiceRecord>();
  readonly nodes = new Map<number, readonly AddressOn[]>();
  readonly tasks = new Map<number, TaskRecord>();
  /** Why each waiter waits, by kind and number, as in `task 3`. */
  readonly reasons = new Map<string, string>();
  readonly notices: string[] = [];
  /** All answers of the last turn. */
  answers: readonly FromAllocator[] = [];
  /** Everything said so far, for those who want to say it again. */
  readonly said: ToAllocator[] = [];
  #allocator = new Allocator();
  #inbox: ToAllocator[] = [];
  #handles = 0;
  #turns = 0;
  #sound = true;
  /** The cluster's pools, said at every start. */
  readonly #pools: Extract<ToAllocator, { t: 'pools' }> | undefined;

  constructor(pools?: { readonly pools: readonly string[]; readonly subnetSize: number }) {
    this.#pools = pools === undefined ? undefined : { t: 'pools', ...pools };
    if (this.#pools !== undefined) this.#say(this.#pools);
  }

  network(init: NetworkInit = {}): number {
    const handle = ++this.#handles;
    const configs = init.configs ?? (init.subnet === undefined ? [] : [init]);
    const record: NetworkRecord = {
      name: init.name ?? `net${handle}`,
      ingress: init.ingress ?? false,
      asked: { configs: configs.map(fullConfig), vxlans: init.vxlans ?? '' },
      grant: undefined,
    };
    this.networks.set(handle, record);
    this.#sayNetwork(handle, record);
    return handle;
  }

  removeNetwork(handle: number): void {
    this.networks.delete(handle);
    this.#say({ t: 'networkGone', network: handle });
    for (const service of this.services.values()) {
      const left = service.vips.filter((vip) => vip.network !== handle);
      // What it lost it must be given again.
      if (left.length < service.vips.length) service.answered = 0;
      service.vips = left;
    }
    for (const task of this.tasks.values()) {
      task.held = task.held?.filter((held) => held.network !== handle);
    }
    for (const [node, attachments] of this.nodes) {
      const left = attachments.filter((attachment) => attachment.network !== handle);
      this.nodes.set(node, left);
    }
  }

  service(init: ServiceSpec = {}): number {
    const handle = ++this.#handles;
    const record: ServiceRecord = {
      spec: fullSpec(init, `svc${handle}`),
      revision: 1,
      answered: 0,
      vips: [],
      published: [],
      publishedFor: [],
    };
    this.services.set(handle, record);
    this.#sayService(handle, record);
    return handle;
  }

  change(handle: number, init: ServiceSpec): void {
    const record = this.services.get(handle);
    assert.ok(record !== undefined);
    record.spec = fullSpec({ ...record.spec, ...init }, record.spec.name);
    record.revision++;
    this.#sayService(handle, record);
  }

  removeService(handle: number): void {
    this.services.delete(handle);
    this.#say({ t: 'serviceGone', service: handle });
  }

  node(): number {
    const handle = ++this.#handles;
    this.nodes.set(handle, []);
    this.#say({ t: 'node', node: handle, attachments: [] });
    return handle;
  }

  removeNode(handle: number): void {
    this.nodes.delete(handle);
    this.#say({ t: 'nodeGone', node: handle });
  }

  /** New tasks; returns their numbers. */
  request(
    count: number,
    options: {
      readonly service?: number;
      readonly networks?: readonly number[];
      readonly wanted?: readonly string[];
      readonly node?: number;
    } = {},
  ): number[] {
    const { service = 0, networks = [], wanted = networks.map(() => ''), node = 0 } = options;
    const tasks = Array.from({ length: count }, () => ++this.#handles);
    for (const task of tasks) {
      this.tasks.set(task, { service, networks, wanted, node, held: undefined });
    }
    this.#say({
      t: 'request',
      service,
      networks,
      wanted,
      tasks: Int32Array.from(tasks),
      nodes: Int32Array.from(tasks, () => node),
    });
    return tasks;
  }

  place(task: number, node: number): void {
    const record = this.tasks.get(task);
    assert.ok(record !== undefined);
    record.node = node;
    this.#say({ t: 'placed', tasks: Int32Array.of(task), nodes: Int32Array.of(node) });
  }

  end(...tasks: readonly number[]): void {
    for (const task of tasks) {
      assert.ok(this.tasks.delete(task));
      this.reasons.delete(`task ${task}`);
    }
    this.#say({ t: 'gone', tasks: Int32Array.from(tasks) });
  }

  /**
   * Lets the allocator decide; checks each answer as it is applied, and the outcome.
   *
   * @param sound false where the store was made wrong on purpose: then nothing is checked
   */
  turn(sound = true): readonly FromAllocator[] {
    this.#sound = sound;
    this.#say({ t: 'turn', turn: ++this.#turns });
    this.answers = this.#allocator.step(this.#inbox);
    this.#inbox = [];
    for (const answer of this.answers) this.#apply(answer);
    assert.deepEqual(this.answers.at(-1), { t: 'turned', turn: this.#turns });
    this.checkUnique();
    this.checkNothingWaitsInVain();
    return this.answers;
  }

  /** The thread dies; another is told what the store holds, and what waits. */
  restart(): void {
    this.#allocator = new Allocator();
    this.#inbox = [];
    this.reasons.clear();
    if (this.#pools !== undefined) this.#say(this.#pools);
    for (const [handle, record] of this.networks) this.#sayNetwork(handle, record);
    for (const [handle, record] of this.services) this.#sayService(handle, record);
    for (const [node, attachments] of this.nodes) this.#say({ t: 'node', node, attachments });
    for (const [task, record] of this.tasks) this.#sayTask(task, record);
  }

  /** What is held, as text: equal for two worlds in which the same is held. */
  holdings(): string {
    return JSON.stringify([
      [...this.networks].map(([handle, { grant }]) => [handle, grant]),
      [...this.services].map(([handle, { vips, published }]) => [handle, vips, published]),
      [...this.nodes],
      [...this.tasks].map(([handle, { held }]) => [handle, held]),
    ]);
  }

  /** The addresses of a task, one text for each of its networks. */
  addressesOf(task: number): readonly string[] | undefined {
    return this.tasks.get(task)?.held?.map(({ address }) => address);
  }

  /** How many addresses of the network are in use, as the allocator counts them. */
  used(network: number): number {
    this.#say({ t: 'measure' });
    for (const answer of this.turn()) {
      if (answer.t !== 'usage') continue;
      const usage = answer.networks.find((one) => one.network === network);
      if (usage !== undefined) return usage.used;
    }
    return assert.fail(`network ${network} is not measured`);
  }

  /** No address has two holders, no port two services, no VXLAN id or address two networks. */
  checkUnique(): void {
    if (!this.#sound) return;
    const seen = new Map<string, string>();
    for (const [thing, holder] of this.#everythingHeld()) {
      assert.equal(seen.get(thing), undefined, `${thing} of ${holder}`);
      seen.set(thing, holder);
    }
    const subnets = [...this.networks.values()].flatMap(({ grant }) =>
      (grant?.configs ?? []).map(({ subnet }) => subnet),
    );
    for (const [i, a] of subnets.entries()) {
      for (const b of subnets.slice(0, i)) assert.ok(!sharesAddress(a, b), `${a} and ${b}`);
    }
  }

  /** Whoever waits lacks something that is not to be had. */
  checkNothingWaitsInVain(): void {
    if (!this.#sound) return;
    for (const [handle, task] of this.tasks) {
      if (task.held !== undefined || this.#taskMustWait(task)) continue;
      assert.fail(`task ${handle} waits: ${this.reasons.get(`task ${handle}`)}`);
    }
    for (const [handle, service] of this.services) {
      if (service.answered === service.revision || this.#serviceMustWait(handle, service)) continue;
      assert.fail(`service ${handle} waits: ${this.reasons.get(`service ${handle}`)}`);
    }
    for (const [node, attachments] of this.nodes) this.#checkAttachments(node, attachments);
  }

  #checkAttachments(node: number, attachments: readonly AddressOn[]): void {
    const wanted = new Set<number>();
    for (const [handle, { ingress }] of this.networks) if (ingress) wanted.add(handle);
    for (const task of this.tasks.values()) {
      if (task.node === node) for (const { network } of task.held ?? []) wanted.add(network);
    }
    for (const { network } of attachments) {
      assert.ok(wanted.has(network), `node ${node} is on network ${network} without need`);
    }
    for (const network of wanted) {
      if (attachments.some((attachment) => attachment.network === network)) continue;
      assert.ok(this.isFull(network), `node ${node} is not on network ${network}`);
    }
  }

  /** Whether no address of the network is left, or it has none to give yet. */
  isFull(network: number): boolean {
    const grant = this.networks.get(network)?.grant;
    return (
      grant === undefined || grant.configs.every((config) => this.#free(network, config) === 0)
    );
  }

  #isFullIn(network: number, family: 4 | 6): boolean {
    const configs = (this.networks.get(network)?.grant?.configs ?? []).filter(
      ({ subnet }) => parseSubnet(subnet)?.family === family,
    );
    return configs.length > 0 && configs.every((config) => this.#free(network, config) === 0);
  }

  /** Addresses of the subnet that are free, counted one by one (up to 300 of them). */
  #free(network: number, config: SubnetConfig): number {
    const subnet = parseSubnet(config.subnet);
    const range = parseSubnet(config.range) ?? subnet;
    assert.ok(subnet !== undefined && range !== undefined);
    const held = new Set([...this.#everythingHeld()].map(([thing]) => thing));
    let free = 0;
    for (let value = range.base; value <= lastAddress(range) && free < 300; value++) {
      const edge = value === subnet.base || (subnet.family === 4 && value === lastAddress(subnet));
      const text = formatAddress({ family: subnet.family, value });
      if (edge && lastAddress(subnet) - subnet.base > 1n) continue;
      if (!held.has(`address ${network} ${text}`)) free++;
    }
    return free;
  }

  /** Every address, port and VXLAN id that somebody holds, with who. */
  *#everythingHeld(): Generator<readonly [thing: string, holder: string]> {
    for (const [handle, { grant }] of this.networks) {
      for (const { gateway, reserved } of grant?.configs ?? []) {
        const texts = new Set([gateway, ...reserved].filter((text) => text !== ''));
        for (const text of texts) yield [`address ${handle} ${text}`, `network ${handle}`];
      }
      if (grant === undefined) continue;
      for (const id of grant.vxlans.split(',')) yield [`vxlan ${id}`, `network ${handle}`];
    }
    for (const [handle, { vips, published, publishedFor }] of this.services) {
      yield* addressesIn(vips, `service ${handle}`);
      for (const [i, { host, protocol }] of publishedFor.entries()) {
        if (!host) yield [`port ${published[i]}/${protocol}`, `service ${handle}`];
      }
    }
    for (const [handle, attachments] of this.nodes)
      yield* addressesIn(attachments, `node ${handle}`);
    for (const [handle, task] of this.tasks) yield* addressesIn(task.held ?? [], `task ${handle}`);
  }

  #taskMustWait(task: TaskRecord): boolean {
    const service = this.services.get(task.service);
    if (task.service !== 0 && service === undefined) return true;
    if (service !== undefined && service.answered !== service.revision) return true;
    const ingress = service?.spec.ports.some(({ host }) => !host) === true ? this.#ingress() : [];
    for (const network of [...ingress, ...task.networks]) {
      const record = this.networks.get(network);
      if (record === undefined) continue;
      if (record.grant === undefined) return true;
      const wanted = task.wanted[task.networks.indexOf(network)] ?? '';
      if (wanted !== '') {
        if (this.#isHeld(network, wanted) || !this.#isIn(network, wanted)) return true;
      }
      const named = parseAddress(wanted)?.family;
      for (const family of [4, 6] as const) {
        if (family !== named && this.#isFullIn(network, family)) return true;
      }
    }
    return false;
  }

  #serviceMustWait(handle: number, service: ServiceRecord): boolean {
    const { spec } = service;
    const ingress = spec.ports.some(({ host }) => !host) ? this.#ingress() : [];
    if (spec.ports.some(({ host }) => !host) && ingress.length === 0) return true;
    for (const network of [...ingress, ...(spec.vips ? spec.networks : [])]) {
      if (!this.networks.has(network)) continue;
      if (service.vips.some((vip) => vip.network === network)) continue;
      if (this.#isFullIn(network, 4) || this.networks.get(network)?.grant === undefined)
        return true;
    }
    const others = new Set<string>();
    for (const [thing, holder] of this.#everythingHeld()) {
      if (holder !== `service ${handle}`) others.add(thing);
    }
    return spec.ports.some(
      ({ host, published, protocol }) => !host && others.has(`port ${published}/${protocol}`),
    );
  }

  #ingress(): number[] {
    return [...this.networks].filter(([, { ingress }]) => ingress).map(([handle]) => handle);
  }

  #isHeld(network: number, text: string): boolean {
    return [...this.#everythingHeld()].some(([thing]) => thing === `address ${network} ${text}`);
  }

  #isIn(network: number, text: string): boolean {
    const address = parseAddress(text);
    return (this.networks.get(network)?.grant?.configs ?? []).some(({ subnet: cidr }) => {
      const subnet = parseSubnet(cidr);
      if (subnet === undefined || address === undefined || !contains(subnet, address)) return false;
      return address.value !== subnet.base && address.value !== lastAddress(subnet);
    });
  }

  #apply(answer: FromAllocator): void {
    switch (answer.t) {
      case 'network': {
        const record = this.networks.get(answer.network);
        assert.ok(record !== undefined && record.grant === undefined);
        record.grant = answer.grant;
        this.reasons.delete(`network ${answer.network}`);
        return;
      }
      case 'service': {
        const record = this.services.get(answer.service);
        assert.ok(record !== undefined && record.revision === answer.revision);
        record.answered = answer.revision;
        record.publishedFor = record.spec.ports;
        record.vips = answer.vips;
        record.published = answer.published;
        this.reasons.delete(`service ${answer.service}`);
        return this.checkUnique();
      }
      case 'node':
        assert.ok(this.nodes.has(answer.node));
        this.nodes.set(answer.node, answer.attachments);
        return this.checkUnique();
      case 'tasks':
        return this.#applyTasks(answer);
      case 'waiting':
        for (const kind of ['network', 'service', 'node', 'task'] as const) {
          for (const handle of answer[`${kind}s`]) {
            // A node may come to want an address again that it could not have before.
            const isNews: boolean =
              kind === 'node' || this.reasons.get(`${kind} ${handle}`) !== answer.text;
            assert.ok(isNews, 'told twice');
            this.reasons.set(`${kind} ${handle}`, answer.text);
          }
        }
        return;
      case 'notice':
        this.notices.push(answer.text);
        return;
      case 'usage':
      case 'turned':
        return;
    }
  }

  #applyTasks(answer: Extract<FromAllocator, { t: 'tasks' }>): void {
    assert.equal(answer.addresses.length, answer.tasks.length * answer.networks.length);
    for (const [i, handle] of answer.tasks.entries()) {
      const task = this.tasks.get(handle);
      assert.ok(task !== undefined && task.held === undefined);
      task.held = answer.networks.map((network, j) => {
        const address = answer.addresses[i * answer.networks.length + j] ?? '';
        return { network, address, addresses: address.split(',') };
      });
      this.reasons.delete(`task ${handle}`);
    }
    this.checkUnique();
  }

  #say(message: ToAllocator): void {
    this.said.push(message);
    this.#inbox.push(message);
  }

  #sayNetwork(network: number, { name, ingress, asked, grant: granted }: NetworkRecord): void {
    this.#say({ t: 'network', network, name, ingress, asked, granted });
  }

  #sayService(service: number, record: ServiceRecord): void {
    const { spec, revision, vips, published, publishedFor } = record;
    this.#say({
      t: 'service',
      service,
      revision,
      name: spec.name,
      wantsVips: spec.vips,
      networks: spec.networks,
      ports: spec.ports,
      heldVips: vips,
      heldPorts: publishedFor.map((port, i) => ({ ...port, published: published[i] ?? 0 })),
    });
  }

  #sayTask(handle: number, task: TaskRecord): void {
    const tasks = Int32Array.of(handle);
    const nodes = Int32Array.of(task.node);
    const { service, networks, wanted, held: has } = task;
    if (has === undefined) {
      this.#say({ t: 'request', service, networks, wanted, tasks, nodes });
      return;
    }
    this.#say({
      t: 'hold',
      networks: has.map(({ network }) => network),
      tasks,
      nodes,
      addresses: has.map(({ address }) => address),
    });
  }
}

function* addressesIn(
  list: readonly AddressOn[],
  holder: string,
): Generator<readonly [thing: string, holder: string]> {
  for (const { network, address } of list) {
    for (const cidr of address.split(',')) {
      if (cidr !== '') yield [`address ${network} ${cidr.split('/')[0]}`, holder];
    }
  }
}

function sharesAddress(a: string, b: string): boolean {
  const [left, right] = [parseSubnet(a), parseSubnet(b)];
  if (left === undefined || right === undefined || left.family !== right.family) return false;
  return left.base <= lastAddress(right) && right.base <= lastAddress(left);
}

function fullConfig(init: Partial<SubnetConfig> | string): SubnetConfig {
  const given = typeof init === 'string' ? { subnet: init } : init;
  const { subnet = '', range = '', gateway = '', reserved = [] } = given;
  return { subnet, range, gateway, reserved };
}

function fullSpec(init: ServiceSpec, name: string): ServiceRecord['spec'] {
  return {
    name: init.name ?? name,
    vips: init.vips ?? true,
    networks: init.networks ?? [],
    ports: (init.ports ?? []).map((port) => ({
      name: '',
      protocol: 0,
      target: 80,
      published: 0,
      host: false,
      ...port,
    })),
  };
}
