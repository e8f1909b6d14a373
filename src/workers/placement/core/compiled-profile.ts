/** A profile made ready for asking: constraints parsed, rooms computed, requests summed by kind. */
import type { GenericRequest, Platform, Plugin, Profile } from '../../../shared/lanes/placement.ts';
import { parseConstraints, type Constraint } from '../../../shared/model/constraints.ts';
import type { Kept } from './pools.ts';
import { roomsFor, type RoomMask } from './room.ts';

export type CompiledProfile = {
  readonly constraints: readonly Constraint[];
  readonly platforms: readonly Platform[];
  readonly plugins: readonly Plugin[];
  readonly runtime: string;
  readonly spread: readonly string[];
  readonly nanoCpus: number;
  readonly memoryBytes: number;
  readonly generic: readonly GenericRequest[];
  readonly rooms: RoomMask;
  readonly hostPorts: readonly number[];
  /** Whether it takes more from a node than processor time and memory. */
  readonly takesMore: boolean;
  /** Infinity for no limit. */
  readonly replicasMax: number;
  /** Equal for profiles that find the same nodes eligible and spread over the same labels. */
  readonly poolKey: string;
  /** Equal for profiles that, besides, ask for the same resources and host ports. */
  readonly narrowKey: string;
  /** The same keys without the spread. */
  readonly flatKey: string;
  readonly flatNarrowKey: string;
  /** How often a walk came to a node that had too little left; kept by the walks. */
  wasted: number;
  /** Journal position at which no node could take a task of any service, -1 before. */
  exhaustedAt: number;
  /** The pools found last for it, with and without the spread; kept by the pools, which so look up a key once. */
  tree: Kept | undefined;
  flat: Kept | undefined;
};

const SPREADABLE = /^(?:node|engine)\.labels\../i;

export function compileProfile(profile: Profile): CompiledProfile {
  const parsed = parseConstraints(profile.constraints);
  const constraints = parsed.ok ? parsed.constraints : [];
  const platforms = profile.platforms.map(({ os, architecture }) => ({
    os,
    architecture: architectureName(architecture),
  }));
  const spread = profile.spread.filter((descriptor) => SPREADABLE.test(descriptor));
  const { plugins, runtime, nanoCpus, memoryBytes } = profile;
  const generic = summed(profile.generic);
  const hostPorts = [...new Set(profile.hostPorts)];
  const ofFacts = [constraints, platforms, plugins, runtime];
  const ofTaking = [nanoCpus, memoryBytes, generic, hostPorts];
  return {
    constraints,
    platforms,
    plugins,
    runtime,
    spread,
    nanoCpus,
    memoryBytes,
    generic,
    rooms: roomsFor(nanoCpus, memoryBytes),
    hostPorts,
    takesMore: generic.length > 0 || hostPorts.length > 0,
    replicasMax: profile.replicasMax === 0 ? Infinity : profile.replicasMax,
    poolKey: JSON.stringify([ofFacts, spread]),
    narrowKey: JSON.stringify([ofFacts, spread, ofTaking]),
    flatKey: JSON.stringify([ofFacts, []]),
    flatNarrowKey: JSON.stringify([ofFacts, [], ofTaking]),
    wasted: 0,
    exhaustedAt: -1,
    tree: undefined,
    flat: undefined,
  };
}

function summed(requests: readonly GenericRequest[]): GenericRequest[] {
  const counts = new Map<string, number>();
  for (const { kind, count } of requests) counts.set(kind, (counts.get(kind) ?? 0) + count);
  return [...counts].filter(([, count]) => count > 0).map(([kind, count]) => ({ kind, count }));
}

/** The one name under which two spellings of an architecture are compared. */
export function architectureName(architecture: string): string {
  if (architecture === 'x86_64') return 'amd64';
  return architecture === 'aarch64' ? 'arm64' : architecture;
}
