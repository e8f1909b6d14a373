/**
 * What the main thread and a placement thread say to each other.
 *
 * Nodes, services, profiles, shapes and tasks are small whole numbers that main hands out; ids and
 * specs stay on main. A *profile* is a set of filters and preferences, sent once however many
 * services share it. A *shape* is one service at one spec version, with its profile: the tasks of a
 * shape are interchangeable, and are placed together. Lists of tasks are columns, not objects.
 *
 * Main may give a number a second meaning only after the thread has said, in `turned`, that it went
 * past the message that ended the first one; until then an answer may still be under way.
 */
import type { ConstraintSubject } from '../model/constraints.ts';

/** A reservation of a generic resource: so many of a kind. */
export type GenericRequest = { readonly kind: string; readonly count: number };

/** What a node offers of one kind: a set of names, or, when `names` is empty, a number. */
export type GenericOffer = {
  readonly kind: string;
  readonly names: readonly string[];
  readonly count: number;
};

/** What a task holds of one kind: these names, or, when `names` is empty, so many. */
export type GenericClaim = GenericOffer;

export type Plugin = { readonly type: string; readonly name: string };

export type Platform = { readonly os: string; readonly architecture: string };

/** What placement knows of a node. */
export type NodeFacts = {
  readonly subject: ConstraintSubject;
  /** READY and ACTIVE: it may be given new tasks. */
  readonly available: boolean;
  /** False when the node did not say its platform: then it fits no task that asks for one. */
  readonly hasPlatform: boolean;
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  readonly generic: readonly GenericOffer[];
  /** Undefined when the node described no engine: then every plugin is taken to be there. */
  readonly plugins: readonly Plugin[] | undefined;
};

/** The filters and preferences of a task spec. */
export type Profile = {
  /** As the user wrote them; when one does not parse, none counts. */
  readonly constraints: readonly string[];
  readonly platforms: readonly Platform[];
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  readonly generic: readonly GenericRequest[];
  /** Labels to spread over, outermost first. */
  readonly spread: readonly string[];
  /** Most active tasks of the service on one node; 0 for any number. */
  readonly replicasMax: number;
  /** Published host ports, each as `hostPort(protocol, port)`. */
  readonly hostPorts: readonly number[];
  /** Plugins that must be there, of type `Volume`, `Network` or `Log`. */
  readonly plugins: readonly Plugin[];
  /** The kind of executor that must be there; '' for any. */
  readonly runtime: string;
};

/** The type under which a node lists its executors among its plugins. */
export const RUNTIME_PLUGIN = 'Runtime';

/** What a node that can run no task lists as its runtime. */
export const RUNTIME_NONE = 'none';

/** The runtime of a node that lists none, as a stock Docker Engine does. */
export const RUNTIME_DEFAULT = 'docker';

/** One number for a protocol (0 TCP, 1 UDP, 2 SCTP) and a port. */
export function hostPort(protocol: number, port: number): number {
  return protocol * 65_536 + port;
}

export type ToPlacement =
  /** A node is there, or its facts changed. */
  | { readonly t: 'node'; readonly node: number; readonly facts: NodeFacts }
  /** A node is no more. Its tasks are ended by messages of their own. */
  | { readonly t: 'nodeGone'; readonly node: number }
  | { readonly t: 'profile'; readonly profile: number; readonly facts: Profile }
  | { readonly t: 'profileGone'; readonly profile: number }
  /** Shapes, as three columns of one length. A task without a service is one of its own. */
  | {
      readonly t: 'shapes';
      readonly shapes: Int32Array;
      readonly services: Int32Array;
      readonly profiles: Int32Array;
    }
  /** No task of these shapes is left, and none will come. */
  | { readonly t: 'shapesGone'; readonly shapes: Int32Array }
  /** These tasks want a node. */
  | { readonly t: 'place'; readonly tasks: Int32Array; readonly shapes: Int32Array }
  /** These tasks have a node, and wait for the word that it can take them. */
  | {
      readonly t: 'confirm';
      readonly tasks: Int32Array;
      readonly shapes: Int32Array;
      readonly nodes: Int32Array;
    }
  /** These tasks are on their nodes already: after a start, or placed by somebody else. */
  | {
      readonly t: 'held';
      readonly tasks: Int32Array;
      readonly shapes: Int32Array;
      readonly nodes: Int32Array;
      /** 1 where the task is meant to run (desired state not above COMPLETE). */
      readonly active: Uint8Array;
      readonly claims: readonly TaskClaims[];
    }
  /** These tasks are no longer meant to run; they keep what they hold until they are gone. */
  | { readonly t: 'inactive'; readonly tasks: Int32Array }
  /** These tasks failed or were rejected by their node, at this time; `gone` follows. */
  | { readonly t: 'failed'; readonly tasks: Int32Array; readonly atMs: number }
  /** These tasks are over, or deleted: what they held is free, what waited waits no more. */
  | { readonly t: 'gone'; readonly tasks: Int32Array }
  /** The store did not take these decisions: they are undone and the tasks wait again. */
  | { readonly t: 'refused'; readonly tasks: Int32Array }
  /** End of a batch: decide now. `turn` counts up. */
  | { readonly t: 'turn'; readonly turn: number };

/** Generic resources that one task holds. */
export type TaskClaims = { readonly task: number; readonly claims: readonly GenericClaim[] };

/** The filters, in the order in which they are asked; the first that fails is the one counted. */
export const FILTERS = [
  'ready',
  'resource',
  'plugin',
  'runtime',
  'constraint',
  'platform',
  'hostPort',
  'maxReplicas',
] as const;

export type FilterName = (typeof FILTERS)[number];

/** Why these tasks have no node: the text for their status, and the nodes that each filter refused. */
export type Explanation = {
  readonly tasks: Int32Array;
  readonly text: string;
  /** Refused nodes by filter, in the order of `FILTERS`. */
  readonly counts: Int32Array;
};

export type FromPlacement =
  /** `tasks[i]` goes to `nodes[i]`; the claims are those of tasks that reserve generic resources. */
  | {
      readonly t: 'placed';
      readonly tasks: Int32Array;
      readonly nodes: Int32Array;
      readonly claims: readonly TaskClaims[];
    }
  | { readonly t: 'waiting'; readonly explanations: readonly Explanation[] }
  /** All messages up to this turn are dealt with. */
  | { readonly t: 'turned'; readonly turn: number };
