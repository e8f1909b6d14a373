/**
 * Rules over network objects: which driver serves one, where its addresses come from, and which
 * networks a new cluster starts with.
 */
import type { Network } from '../wire/gen/objects.ts';
import { NetworkSpec } from '../wire/gen/specs.ts';

/** The driver of a network whose spec names none. */
export const DEFAULT_NETWORK_DRIVER = 'overlay';

/** Marks the networks that every engine has of its own accord. */
export const PREDEFINED_LABEL = 'com.docker.swarm.predefined';

/** Marks the ingress network of clusters older than `spec.ingress`. */
const INTERNAL_LABEL = 'com.docker.swarm.internal';

/** The driver option that carries the VXLAN ids of a network, one for each subnet, with commas. */
export const VXLAN_LIST_OPTION = 'com.docker.network.driver.overlay.vxlanid_list';

/** Drivers whose networks live on one node: the cluster gives them no subnet and no address. */
const NODE_LOCAL_DRIVERS: ReadonlySet<string> = new Set(['bridge', 'host', 'ipvlan', 'macvlan']);

/** Name of the driver that the spec asks for. */
export function networkDriver(spec: NetworkSpec): string {
  const name = spec.driverConfig?.name ?? '';
  return name === '' ? DEFAULT_NETWORK_DRIVER : name;
}

/** Whether the network's addresses are each node's own affair. */
export function isNodeLocal(spec: NetworkSpec): boolean {
  return NODE_LOCAL_DRIVERS.has(networkDriver(spec));
}

/** Whether this is the network that carries ports published in ingress mode. */
export function isIngressNetwork(spec: NetworkSpec): boolean {
  if (spec.ingress) return true;
  return spec.annotations.name === 'ingress' && INTERNAL_LABEL in spec.annotations.labels;
}

/** Whether the network is one that every engine has, such as `host`. */
export function isPredefinedNetwork(spec: NetworkSpec): boolean {
  return PREDEFINED_LABEL in spec.annotations.labels;
}

/** Whether the allocator has given the network all it needs to be attached to. */
export function isNetworkAllocated(network: Network): boolean {
  return network.driverState !== undefined;
}

/**
 * The networks a leader creates in a new cluster, in order: `ingress`, so that it gets the first
 * subnet, and the engines' own `bridge` and `host`.
 */
export function initialNetworkSpecs(): readonly NetworkSpec[] {
  return [
    NetworkSpec.create({
      annotations: { name: 'ingress' },
      driverConfig: { name: DEFAULT_NETWORK_DRIVER },
      ingress: true,
    }),
    ...['bridge', 'host'].map((name) =>
      NetworkSpec.create({
        annotations: { name, labels: { [PREDEFINED_LABEL]: 'true' } },
        driverConfig: { name },
      }),
    ),
  ];
}
