/**
 * The filters, in pipeline order: may a task with this profile run on this node? Those that depend
 * on the node's facts alone have one lasting answer (`verdict`); resources, host ports and replicas
 * depend on what runs there and are asked each time.
 */
import {
  FILTERS,
  RUNTIME_DEFAULT,
  RUNTIME_NONE,
  RUNTIME_PLUGIN,
  type FilterName,
  type NodeFacts,
  type Plugin,
} from '../../../shared/lanes/placement.ts';
import { matchesConstraints } from '../../../shared/model/constraints.ts';
import { architectureName, type CompiledProfile } from './compiled-profile.ts';
import type { NodeTable } from './node-table.ts';

/** Position of each filter in the pipeline. */
const FILTER = {
  ready: FILTERS.indexOf('ready'),
  resource: FILTERS.indexOf('resource'),
  plugin: FILTERS.indexOf('plugin'),
  runtime: FILTERS.indexOf('runtime'),
  constraint: FILTERS.indexOf('constraint'),
  platform: FILTERS.indexOf('platform'),
  hostPort: FILTERS.indexOf('hostPort'),
  maxReplicas: FILTERS.indexOf('maxReplicas'),
} satisfies Record<FilterName, number>;

/** What a filter position is where nothing failed. */
export const PASSES = 255;

/** The first filter over facts alone that the node fails, or `PASSES`. */
export function verdict(profile: CompiledProfile, facts: NodeFacts): number {
  if (!profile.plugins.every((plugin) => hasPlugin(facts, plugin))) return FILTER.plugin;
  if (!hasRuntime(facts, profile.runtime)) return FILTER.runtime;
  if (!matchesConstraints(profile.constraints, facts.subject)) return FILTER.constraint;
  return hasPlatform(facts, profile) ? PASSES : FILTER.platform;
}

function hasPlugin(facts: NodeFacts, wanted: Plugin): boolean {
  if (facts.plugins === undefined) return true;
  const ofType = facts.plugins.filter((plugin) => plugin.type === wanted.type);
  // Engines older than log plugins list none of them, and have the usual drivers all the same.
  if (wanted.type === 'Log' && ofType.length === 0) return true;
  return ofType.some(({ name }) => name === wanted.name || name === `${wanted.name}:latest`);
}

function hasRuntime(facts: NodeFacts, wanted: string): boolean {
  const runtimes = (facts.plugins ?? []).filter((plugin) => plugin.type === RUNTIME_PLUGIN);
  if (wanted === '') return !runtimes.some(({ name }) => name === RUNTIME_NONE);
  if (runtimes.length === 0) return wanted === RUNTIME_DEFAULT;
  return runtimes.some(({ name }) => name === wanted);
}

function hasPlatform(facts: NodeFacts, profile: CompiledProfile): boolean {
  if (profile.platforms.length === 0) return true;
  if (!facts.hasPlatform) return false;
  const { os, architecture } = facts.subject;
  return profile.platforms.some(
    (wanted) =>
      (wanted.os === '' || wanted.os === os) &&
      (wanted.architecture === '' || wanted.architecture === architectureName(architecture)),
  );
}

/** Whether what the profile reserves is free on the node; what it does not reserve is not asked. */
function fits(nodes: NodeTable, node: number, profile: CompiledProfile): boolean {
  return fitsPlainly(nodes, node, profile) && fitsGenerically(nodes, node, profile);
}

function fitsPlainly(nodes: NodeTable, node: number, profile: CompiledProfile): boolean {
  const { nanoCpus, memoryBytes } = profile;
  if (nanoCpus > 0 && nanoCpus > nodes.freeNanoCpus(node)) return false;
  return memoryBytes === 0 || memoryBytes <= nodes.freeMemoryBytes(node);
}

function fitsGenerically(nodes: NodeTable, node: number, profile: CompiledProfile): boolean {
  for (const { kind, count } of profile.generic) {
    if (nodes.freeGeneric(node, kind) < count) return false;
  }
  return true;
}

/** Whether the node has left what the profile takes from it: resources and host ports. */
export function hasLeft(nodes: NodeTable, node: number, profile: CompiledProfile): boolean {
  if (!fitsPlainly(nodes, node, profile)) return false;
  return (
    !profile.takesMore ||
    (fitsGenerically(nodes, node, profile) && nodes.portsFree(node, profile.hostPorts))
  );
}

/**
 * The first filter that the node fails, or `PASSES`.
 *
 * @param known the node's `verdict`, and the number of active tasks of the service on it
 */
export function firstFailure(
  nodes: NodeTable,
  node: number,
  profile: CompiledProfile,
  known: { readonly ofFacts: number; readonly replicas: number },
): number {
  if (!nodes.isAvailable(node)) return FILTER.ready;
  if (!fits(nodes, node, profile)) return FILTER.resource;
  if (known.ofFacts !== PASSES) return known.ofFacts;
  if (!nodes.portsFree(node, profile.hostPorts)) return FILTER.hostPort;
  return known.replicas < profile.replicasMax ? PASSES : FILTER.maxReplicas;
}
