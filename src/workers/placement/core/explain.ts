/** Why a task has no node, in the words that a user reads in the task's status. */
import type { FilterName } from '../../../shared/lanes/placement.ts';
import { FILTERS } from '../../../shared/lanes/placement.ts';

/** Each filter's part of the text, for `nodes` such as `2 nodes`. */
const PHRASES: Readonly<Record<FilterName, (nodes: string, runtime: string) => string>> = {
  ready: (nodes) => `${nodes} not available for new tasks`,
  resource: (nodes) => `insufficient resources on ${nodes}`,
  plugin: (nodes) => `missing plugin on ${nodes}`,
  runtime: (nodes, runtime) => `no ${runtime === '' ? '' : `${runtime} `}runtime on ${nodes}`,
  constraint: (nodes) => `scheduling constraints not satisfied on ${nodes}`,
  platform: (nodes) => `unsupported platform on ${nodes}`,
  hostPort: (nodes) => `host-mode port already in use on ${nodes}`,
  maxReplicas: () => 'max replicas per node limit exceed',
};

/**
 * The phrases of all filters that refused a node, most nodes first, those with equally many in
 * pipeline order.
 *
 * @param counts refused nodes by filter, in the order of `FILTERS`
 */
export function explanation(counts: ArrayLike<number>, runtime: string): string {
  return FILTERS.map((filter, index) => ({ filter, count: counts[index] ?? 0 }))
    .filter(({ count }) => count > 0)
    .toSorted((a, b) => b.count - a.count)
    .map(({ filter, count }) => PHRASES[filter](count === 1 ? '1 node' : `${count} nodes`, runtime))
    .join('; ');
}

/** The text for a task that no node could be found for. */
export function noSuitableNode(counts: ArrayLike<number>, runtime: string): string {
  const reasons = explanation(counts, runtime);
  return reasons === '' ? 'no suitable node' : `no suitable node (${reasons})`;
}
