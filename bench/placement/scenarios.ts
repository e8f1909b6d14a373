/**
 * The scenarios: clusters, and what happens to them. SwarmKit's own scheduler benchmark gives the
 * first shapes (nodes by tasks, each task a group of its own); the hard ones make filters fail,
 * nodes differ, or the cluster change.
 */
import type { NodeFacts, Profile } from '../../src/shared/lanes/placement.ts';
import { nodeFacts, profile } from '../../src/workers/placement/core/testing/fixtures.ts';

/** Whether each task is a service of its own, or all are of one or a few. */
export type Grouping = 'alone' | 'services';

export type Scenario = {
  readonly name: string;
  readonly nodes: number;
  readonly tasks: number;
  /** Over how many turns the tasks come. */
  readonly turns: number;
  /** How many services the tasks are of, when they are not alone. */
  readonly services: number;
  readonly factsOf: (node: number) => NodeFacts;
  readonly profiles: readonly Profile[];
  /** In each round so many nodes go and the ones before come back; their tasks are placed anew. */
  readonly flapping?: { readonly rounds: number; readonly share: number };
};

const GIB = 2 ** 30;

function plain(nodes: number, tasks: number, turns = 1): Scenario {
  const name = `${nodes} nodes × ${tasks}`;
  return {
    name,
    nodes,
    tasks,
    turns,
    services: 1,
    factsOf: () => nodeFacts(),
    profiles: [profile()],
  };
}

/** One node in three has the driver of the network that all tasks are on. */
function constrained(nodes: number, tasks: number): Scenario {
  const network = { type: 'Network', name: 'overlay' };
  return {
    ...plain(nodes, tasks),
    name: `${nodes} nodes, a third with the network × ${tasks}`,
    factsOf: (node) => nodeFacts({ plugins: node % 3 === 0 ? [network] : [] }),
    profiles: [profile({ plugins: [network] })],
  };
}

function labelled(nodes: number, tasks: number): Scenario {
  return {
    ...plain(nodes, tasks),
    name: `1 % by label: ${nodes} nodes × ${tasks}`,
    factsOf: (node) => nodeFacts({}, { labels: { disk: node % 100 === 0 ? 'ssd' : 'hdd' } }),
    profiles: [profile({ constraints: ['node.labels.disk==ssd'] })],
  };
}

/**
 * Nine in ten nodes are left with a little less than a task reserves, in the same room step, and
 * with no tasks: so they come first in the node order, and no filing by room passes them over.
 */
function full(nodes: number, tasks: number): Scenario {
  const needed = 450e6;
  const roomy = Math.ceil((tasks / (nodes / 10)) * 1.2) * needed;
  return {
    ...plain(nodes, tasks),
    name: `90 % full: ${nodes} nodes × ${tasks}`,
    factsOf: (node) =>
      nodeFacts({ nanoCpus: node % 10 === 0 ? roomy : 400e6, memoryBytes: 64 * GIB }),
    profiles: [profile({ nanoCpus: needed })],
  };
}

function zones(nodes: number, tasks: number): Scenario {
  return {
    ...plain(nodes, tasks),
    name: `16 zones: ${nodes} nodes × ${tasks}`,
    services: 100,
    factsOf: (node) => nodeFacts({}, { labels: { zone: `zone-${(node * 7) % 16}` } }),
    profiles: [profile({ spread: ['node.labels.zone'] })],
  };
}

function reservations(nodes: number, tasks: number, shapes: number): Scenario {
  const each = Math.ceil((tasks / nodes) * 1.5);
  return {
    ...plain(nodes, tasks),
    name: `${shapes} shapes: ${nodes} nodes × ${tasks}`,
    services: shapes,
    factsOf: (node) =>
      nodeFacts({
        nanoCpus: each * (1 + (node % 3)) * 1e9,
        memoryBytes: each * (1 + (node % 2)) * GIB,
      }),
    profiles: Array.from({ length: shapes }, (_, i) =>
      profile({ nanoCpus: (1 + ((i * 7) % 100)) * 1e7, memoryBytes: (1 + (i % 97)) * 2 ** 23 }),
    ),
  };
}

function flapping(nodes: number, tasks: number): Scenario {
  return {
    ...plain(nodes, tasks),
    name: `10 % flapping: ${nodes} nodes × ${tasks}`,
    services: 100,
    flapping: { rounds: 10, share: 0.1 },
  };
}

/** Small enough for the slow oracle, or for a check that nothing rots. */
export const TINY: readonly Scenario[] = [
  plain(7, 40, 2),
  constrained(12, 40),
  labelled(200, 20),
  full(20, 20),
  { ...zones(20, 60), services: 3 },
  reservations(10, 40, 9),
  { ...flapping(10, 30), services: 3 },
];

/** For a minute's run: the same kinds, smaller where that changes nothing but the time. */
export const SHORT: readonly Scenario[] = [
  plain(1_000, 100_000, 100),
  plain(1_000, 100_000),
  constrained(5_000, 100_000),
  plain(100_000, 100_000),
  labelled(10_000, 100_000),
  full(10_000, 100_000),
  zones(10_000, 100_000),
  reservations(1_000, 50_000, 1_000),
  flapping(1_000, 100_000),
];

/** All: the turns of small ones are repeated, so that there is something to time. */
export const FULL: readonly Scenario[] = [
  plain(1_000, 100_000, 100),
  plain(1_000, 100_000, 10),
  plain(1_000, 100_000),
  constrained(5_000, 100_000),
  plain(100_000, 100_000, 100),
  plain(100_000, 100_000),
  plain(100_000, 1_000_000),
  labelled(10_000, 100_000),
  full(10_000, 100_000),
  zones(10_000, 100_000),
  reservations(1_000, 100_000, 1_000),
  flapping(1_000, 100_000),
  flapping(10_000, 100_000),
];
