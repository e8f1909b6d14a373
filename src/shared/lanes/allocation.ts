/**
 * What the main thread and the allocator thread say to each other.
 *
 * Networks, services, nodes and tasks are whole numbers above 0 that main hands out and never uses
 * twice in the life of a thread; ids and specs stay on main. Lists of tasks are columns, not
 * objects, and a message about tasks speaks of those that are attached alike. What needs no address
 * and no ingress port never crosses: main settles it by itself.
 *
 * The allocator decides only at a `turn`. Everything before the first one is what the store already
 * holds, and is kept as it is, whoever else holds it too.
 *
 * Addresses cross in CIDR form, as they stand in the store. Where a column has one entry for each
 * task and network, it goes task by task, and an entry of several addresses joins them with commas.
 */

/** One subnet of a network, as text; '' or empty where the user or the store named nothing. */
export type SubnetConfig = {
  readonly subnet: string;
  readonly range: string;
  readonly gateway: string;
  /** Addresses never to be given. */
  readonly reserved: readonly string[];
};

/** What a network has been given. */
export type NetworkGrant = {
  readonly configs: readonly SubnetConfig[];
  /** VXLAN ids joined with commas, as in the driver option. */
  readonly vxlans: string;
};

/** A port of a service. */
export type PublishedPort = {
  readonly name: string;
  /** 0 TCP, 1 UDP, 2 SCTP. */
  readonly protocol: number;
  readonly target: number;
  /** 0 where the service leaves the choice to the allocator. */
  readonly published: number;
  /** Published on each task's own node: none of the allocator's business. */
  readonly host: boolean;
};

/** An address, in CIDR form, on a network. */
export type AddressOn = { readonly network: number; readonly address: string };

export type ToAllocator =
  /** First of all: the blocks to cut subnets from, and the length of their network part in bits. */
  | { readonly t: 'pools'; readonly pools: readonly string[]; readonly subnetSize: number }
  /** An overlay network is there. */
  | {
      readonly t: 'network';
      readonly network: number;
      readonly name: string;
      readonly ingress: boolean;
      /** What the user asks for; `granted` is what the network already has. */
      readonly asked: NetworkGrant;
      readonly granted: NetworkGrant | undefined;
    }
  | { readonly t: 'networkGone'; readonly network: number }
  /** A service is there, or changed. What it holds counts only when the service is new here. */
  | {
      readonly t: 'service';
      readonly service: number;
      /** Handed back with the answer, so that main knows which spec it belongs to. */
      readonly revision: number;
      readonly name: string;
      /** Whether it wants a virtual address on each network; its ingress address it gets anyway. */
      readonly wantsVips: boolean;
      readonly networks: readonly number[];
      readonly ports: readonly PublishedPort[];
      readonly heldVips: readonly AddressOn[];
      /** Its published ingress ports, with their numbers. */
      readonly heldPorts: readonly PublishedPort[];
    }
  | { readonly t: 'serviceGone'; readonly service: number }
  | { readonly t: 'node'; readonly node: number; readonly attachments: readonly AddressOn[] }
  | { readonly t: 'nodeGone'; readonly node: number }
  /** New tasks of one service (0 for none) that want addresses on these networks. */
  | {
      readonly t: 'request';
      readonly service: number;
      readonly networks: readonly number[];
      /** For each network the addresses asked for by name, or ''. */
      readonly wanted: readonly string[];
      readonly tasks: Int32Array;
      /** The node of each task that has one already, else 0. */
      readonly nodes: Int32Array;
    }
  /** Tasks that have addresses already, on these networks (ingress among them). */
  | {
      readonly t: 'hold';
      readonly networks: readonly number[];
      readonly tasks: Int32Array;
      readonly nodes: Int32Array;
      readonly addresses: readonly string[];
    }
  /** These tasks have been given to these nodes. */
  | { readonly t: 'placed'; readonly tasks: Int32Array; readonly nodes: Int32Array }
  /** These tasks are over, or deleted: they want nothing and hold nothing any more. */
  | { readonly t: 'gone'; readonly tasks: Int32Array }
  /** How full each network is; answered at the next turn. */
  | { readonly t: 'measure' }
  /** End of a batch: decide now. */
  | { readonly t: 'turn'; readonly turn: number };

/** Answers, in an order in which each may be written after those before it. */
export type FromAllocator =
  | { readonly t: 'network'; readonly network: number; readonly grant: NetworkGrant }
  /** All the service wants: its virtual addresses, and the published number of each of its ports. */
  | {
      readonly t: 'service';
      readonly service: number;
      readonly revision: number;
      readonly vips: readonly AddressOn[];
      readonly published: readonly number[];
    }
  /** All attachments of the node. */
  | { readonly t: 'node'; readonly node: number; readonly attachments: readonly AddressOn[] }
  /** These tasks have all they want; `networks` has the ingress network first if they use it. */
  | {
      readonly t: 'tasks';
      readonly networks: readonly number[];
      readonly tasks: Int32Array;
      readonly addresses: readonly string[];
    }
  /** These cannot have what they want yet, and why. They are tried again when that changes. */
  | {
      readonly t: 'waiting';
      readonly text: string;
      readonly networks: readonly number[];
      readonly services: readonly number[];
      readonly nodes: readonly number[];
      readonly tasks: Int32Array;
    }
  /** Something in the store that should not be, such as an address with two holders; left alone. */
  | { readonly t: 'notice'; readonly text: string }
  | { readonly t: 'usage'; readonly networks: readonly NetworkUsage[] }
  /** All messages up to this turn are dealt with. */
  | { readonly t: 'turned'; readonly turn: number };

/** How full a network is: of the addresses it gives by itself, those in use. */
type NetworkUsage = {
  readonly network: number;
  readonly used: number;
  readonly total: number;
};
