/**
 * The nodes and their attachments: one address on each network that the node takes part in, from
 * which its own load balancer speaks.
 *
 * A node takes part in the ingress network always, and in any other while a task on it does.
 */
import assert from 'node:assert/strict';
import type { AddressOn } from '../../../shared/lanes/allocation.ts';
import { type Holding, holdingOf } from './address-space.ts';
import type { Agenda } from './agenda.ts';
import type { NetworkEntry, NetworkTable } from './network-table.ts';
import { RANK, Waiter } from './wait-list.ts';

export class Attachment extends Waiter {
  readonly node: NodeEntry;
  readonly network: NetworkEntry;
  /** Tasks of the node that are on the network. */
  users = 0;
  holding: Holding | undefined;

  constructor(node: NodeEntry, network: NetworkEntry) {
    super(RANK.node);
    this.node = node;
    this.network = network;
  }
}

export class NodeEntry {
  readonly handle: number;
  readonly attachments = new Map<NetworkEntry, Attachment>();
  /** Whether the node has left; tasks on it may still be there for a while. */
  gone = false;

  constructor(handle: number) {
    this.handle = handle;
  }

  /** The attachments that have an address, as they stand in the store. */
  describe(): AddressOn[] {
    const list: AddressOn[] = [];
    for (const { network, holding } of this.attachments.values()) {
      if (holding !== undefined) list.push({ network: network.handle, address: holding.text });
    }
    return list;
  }
}

export class NodeTable {
  readonly #agenda: Agenda;
  readonly #networks: NetworkTable;
  readonly #nodes = new Map<number, NodeEntry>();
  /** Attachments that no task uses; they are given up at the next turn if that is still so. */
  readonly #idle = new Set<Attachment>();
  /** Nodes whose attachments are not as main knows them. */
  readonly #changed = new Set<NodeEntry>();

  constructor(agenda: Agenda, networks: NetworkTable) {
    this.#agenda = agenda;
    this.#networks = networks;
  }

  get(handle: number): NodeEntry | undefined {
    return this.#nodes.get(handle);
  }

  add(handle: number, attachments: readonly AddressOn[]): void {
    assert.ok(!this.#nodes.has(handle), `node ${handle} is new`);
    const node = new NodeEntry(handle);
    this.#nodes.set(handle, node);
    for (const { network: networkHandle, address } of attachments) {
      const network = this.#networks.get(networkHandle);
      if (network === undefined || node.attachments.has(network)) {
        this.#changed.add(node);
        continue;
      }
      const attachment = new Attachment(node, network);
      attachment.holding = this.#networks.hold(network, address);
      node.attachments.set(network, attachment);
      this.#idle.add(attachment);
    }
    if (this.#networks.ingress !== undefined) this.#attach(node, this.#networks.ingress);
  }

  remove(handle: number): void {
    const node = this.#nodes.get(handle);
    assert.ok(node !== undefined, `node ${handle} is known`);
    node.gone = true;
    this.#nodes.delete(handle);
    this.#changed.delete(node);
    for (const attachment of node.attachments.values()) this.#detach(attachment);
  }

  /** A task of the node is on these networks. */
  use(node: NodeEntry, networks: readonly NetworkEntry[]): void {
    if (node.gone) return;
    for (const network of networks) if (!network.gone) this.#attach(node, network).users++;
  }

  /** A task of the node is no longer on these networks. */
  unuse(node: NodeEntry, networks: readonly NetworkEntry[]): void {
    for (const network of networks) {
      const attachment = node.attachments.get(network);
      if (attachment === undefined) continue;
      attachment.users--;
      assert.ok(attachment.users >= 0, 'a node is left by tasks that were on it');
      if (attachment.users === 0) this.#idle.add(attachment);
    }
  }

  /** Attaches every node to what is now the ingress network. */
  attachIngress(ingress: NetworkEntry): void {
    for (const node of this.#nodes.values()) this.#attach(node, ingress);
  }

  /** Detaches every node from a network that is no more. */
  networkGone(network: NetworkEntry): void {
    for (const node of this.#nodes.values()) {
      const attachment = node.attachments.get(network);
      if (attachment === undefined) continue;
      if (attachment.holding !== undefined) this.#changed.add(node);
      this.#detach(attachment);
    }
  }

  /** Gives up the attachments that no task uses. */
  dropIdle(): void {
    for (const attachment of this.#idle) {
      if (attachment.users > 0 || attachment.network === this.#networks.ingress) continue;
      if (attachment.node.attachments.get(attachment.network) !== attachment) continue;
      if (attachment.holding !== undefined) this.#changed.add(attachment.node);
      this.#detach(attachment);
    }
    this.#idle.clear();
  }

  /** Tries to give an attachment its address; on failure it waits, and the text says for what. */
  tryAttach(attachment: Attachment): string {
    const { network } = attachment;
    if (attachment.holding !== undefined) return '';
    if (network.grant === undefined) {
      network.queue.join(attachment);
      return network.describePending();
    }
    const [space] = network.spaces;
    if (space === undefined) return '';
    if (!space.hasFree) {
      space.queue.join(attachment);
      return `could not find an available IP: ${space.describeFull()}`;
    }
    attachment.holding = holdingOf(space.take());
    this.#changed.add(attachment.node);
    return '';
  }

  /** The nodes whose attachments have changed since the last call. */
  takeChanged(): NodeEntry[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  #attach(node: NodeEntry, network: NetworkEntry): Attachment {
    let attachment = node.attachments.get(network);
    if (attachment === undefined) {
      attachment = new Attachment(node, network);
      node.attachments.set(network, attachment);
      this.#agenda.wake(attachment);
    }
    return attachment;
  }

  #detach(attachment: Attachment): void {
    attachment.leave();
    attachment.text = '';
    attachment.node.attachments.delete(attachment.network);
    const held = attachment.holding?.held;
    if (held !== undefined) held.space.release(held);
  }
}
