/**
 * The allocator: takes what happens in the store, and says who gets which addresses and ports.
 *
 * Messages only note what is there and what is wanted; a `turn` decides. What was freed goes first to
 * those who waited for it, in the order they came, then to those who ask anew. The same messages give
 * the same answers.
 */
import assert from 'node:assert/strict';
import type { FromAllocator, ToAllocator } from '../../../shared/lanes/allocation.ts';
import { Agenda, type Roomy, type Single } from './agenda.ts';
import { Answers } from './answers.ts';
import { NetworkEntry, NetworkTable } from './network-table.ts';
import { Attachment, NodeTable } from './node-table.ts';
import { ServiceEntry, ServiceTable } from './service-table.ts';
import { makeShape, TaskEntry, TaskTable } from './task-table.ts';
import type { Waiter } from './wait-list.ts';

type Of<T extends ToAllocator['t']> = Extract<ToAllocator, { readonly t: T }>;

export class Allocator {
  readonly #agenda = new Agenda();
  readonly #networks = new NetworkTable(this.#agenda);
  readonly #services = new ServiceTable(this.#agenda, this.#networks);
  readonly #nodes = new NodeTable(this.#agenda, this.#networks);
  readonly #tasks = new TaskTable({
    networks: this.#networks,
    services: this.#services,
    nodes: this.#nodes,
  });
  readonly #answers = new Answers();
  #measuring = false;

  /** Takes messages in order, and gives the answers to the turns among them. */
  step(messages: readonly ToAllocator[]): FromAllocator[] {
    for (const message of messages) this.#take(message);
    return this.#answers.take();
  }

  #take(message: ToAllocator): void {
    switch (message.t) {
      case 'pools':
        return this.#networks.setPools(message.pools, message.subnetSize);
      case 'network':
        return this.#takeNetwork(message);
      case 'networkGone':
        return this.#dropNetwork(message.network);
      case 'service':
        return this.#takeService(message);
      case 'serviceGone': {
        const service = this.#services.get(message.service);
        assert.ok(service !== undefined, `service ${message.service} is known`);
        return this.#services.remove(service);
      }
      case 'node':
        return this.#nodes.add(message.node, message.attachments);
      case 'nodeGone':
        return this.#nodes.remove(message.node);
      case 'request':
        return this.#takeRequest(message);
      case 'hold':
        return this.#takeHold(message);
      case 'placed':
        for (const [i, task] of message.tasks.entries()) {
          this.#tasks.place(task, message.nodes[i] ?? 0);
        }
        return;
      case 'gone':
        for (const task of message.tasks) this.#tasks.remove(task);
        return;
      case 'measure':
        this.#measuring = true;
        return;
      case 'turn':
        return this.#turn(message.turn);
    }
  }

  #takeNetwork(message: Of<'network'>): void {
    const { network: handle, name, ingress, asked, granted } = message;
    const before = this.#networks.ingress;
    const entry = this.#networks.add({ handle, name, ingress, asked }, granted);
    if (before === undefined && this.#networks.ingress === entry) this.#nodes.attachIngress(entry);
  }

  #dropNetwork(handle: number): void {
    const network = this.#networks.get(handle);
    assert.ok(network !== undefined, `network ${handle} is known`);
    this.#networks.remove(network);
    this.#services.networkGone(network);
    this.#nodes.networkGone(network);
  }

  #takeService(message: Of<'service'>): void {
    const { service: handle, revision, name, wantsVips, networks, ports } = message;
    const wants = { revision, name, wantsVips, networks, ports };
    const known = this.#services.get(handle);
    if (known === undefined) {
      this.#services.add(handle, wants, { vips: message.heldVips, ports: message.heldPorts });
    } else {
      this.#services.change(known, wants);
    }
  }

  #takeRequest(message: Of<'request'>): void {
    const shape = makeShape(message.service, message.networks, message.wanted);
    for (const [i, handle] of message.tasks.entries()) {
      this.#agenda.wake(this.#tasks.add(handle, shape, message.nodes[i] ?? 0));
    }
  }

  #takeHold(message: Of<'hold'>): void {
    const { networks, tasks, nodes, addresses } = message;
    for (const [i, handle] of tasks.entries()) {
      const own = addresses.slice(i * networks.length, (i + 1) * networks.length);
      this.#tasks.hold(handle, { networks, addresses: own, node: nodes[i] ?? 0 });
    }
  }

  #turn(turn: number): void {
    // What nodes give up is said before it is given to others, so that the store never has it twice.
    this.#nodes.dropIdle();
    this.#sayNodes();
    while (this.#serveOne());
    this.#sayNodes();
    for (const text of this.#agenda.notices.splice(0)) this.#answers.push({ t: 'notice', text });
    this.#answers.flushWaiting();
    if (this.#measuring) this.#measure();
    this.#answers.push({ t: 'turned', turn });
  }

  /** Serves those who wait for something that was freed, else the next of those who are ready. */
  #serveOne(): boolean {
    const single = this.#agenda.singles.shift();
    if (single !== undefined) {
      this.#serveSingle(single);
      return true;
    }
    const [roomy] = this.#agenda.roomy;
    if (roomy !== undefined) {
      this.#agenda.roomy.delete(roomy);
      this.#serveRoomy(roomy);
      return true;
    }
    const next = this.#agenda.ready.first();
    if (next === undefined) return false;
    this.#try(next);
    return true;
  }

  /** Tries each of those who wait for the one thing, until one of them has taken it. */
  #serveSingle({ isFree, list }: Single): void {
    const { last } = list;
    for (let next = list.first; next !== undefined && isFree(); next = list.first) {
      this.#try(next);
      // Whoever needs more than this one thing may stand at the end again.
      if (next === last) return;
    }
  }

  #serveRoomy(roomy: Roomy): void {
    while (roomy.hasFree) {
      const next = roomy.queue.first();
      if (next === undefined) return;
      this.#try(next);
      assert.ok(roomy.queue.first() !== next, 'who waits for an address takes one that is free');
    }
  }

  #try(waiter: Waiter): void {
    waiter.leave();
    if (waiter instanceof NetworkEntry) this.#tryNetwork(waiter);
    else if (waiter instanceof Attachment) this.#say(waiter, this.#nodes.tryAttach(waiter));
    else if (waiter instanceof ServiceEntry) this.#tryService(waiter);
    else if (waiter instanceof TaskEntry) this.#tryTask(waiter);
    else assert.fail('these are all that wait');
  }

  #tryNetwork(network: NetworkEntry): void {
    const ingress = this.#networks.ingress;
    const text = this.#networks.grant(network) ?? '';
    if (this.#networks.ingress !== ingress) this.#nodes.attachIngress(network);
    if (text !== '') network.join(this.#agenda.networks);
    // Those who wait for it can go on, or have another reason to give.
    if (text !== network.text || text === '') this.#agenda.wakeAll(network.queue.drain());
    this.#say(network, text);
    if (network.grant === undefined) return;
    this.#answers.push({ t: 'network', network: network.handle, grant: network.grant });
  }

  #tryService(service: ServiceEntry): void {
    const left = this.#services.ingressLeftBy(service);
    const outcome = this.#services.tryAllocate(service);
    const text = typeof outcome === 'string' ? outcome : '';
    if (text !== service.text) this.#agenda.wakeAll(service.tasks.drain());
    this.#say(service, text);
    if (typeof outcome === 'string') return;
    // Its tasks that wait there for an address need none any more.
    if (left !== undefined) this.#agenda.wakeAll(this.#tasks.waitingIn(left, service));
    const { revision } = service.wants;
    this.#answers.push({ t: 'service', service: service.handle, revision, ...outcome });
  }

  #tryTask(task: TaskEntry): void {
    const outcome = this.#tasks.tryAllocate(task);
    this.#say(task, typeof outcome === 'string' ? outcome : '');
    if (typeof outcome !== 'string') this.#answers.allocated(task, outcome);
  }

  #say(waiter: Waiter, text: string): void {
    waiter.text = text;
    this.#answers.waits(waiter);
  }

  #sayNodes(): void {
    for (const node of this.#nodes.takeChanged()) {
      this.#answers.push({ t: 'node', node: node.handle, attachments: node.describe() });
    }
  }

  #measure(): void {
    this.#measuring = false;
    const networks = [...this.#networks.values()].map(({ handle, spaces }) => ({
      network: handle,
      used: spaces.reduce((sum, space) => sum + space.used, 0),
      total: spaces.reduce((sum, space) => sum + space.total, 0),
    }));
    this.#answers.push({ t: 'usage', networks });
  }
}
