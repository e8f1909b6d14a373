/**
 * Between the store's objects and the allocator's vocabulary, both ways. Only fields that the
 * allocator owns are ever made here: a network's driver state and IPAM, a service's endpoint, and the
 * attachments of nodes and tasks.
 */
import { parseSubnet } from '../../../shared/model/addresses.ts';
import { isNodeLocal, networkDriver, VXLAN_LIST_OPTION } from '../../../shared/model/networks.ts';
import type {
  NetworkGrant,
  PublishedPort,
  SubnetConfig,
} from '../../../shared/lanes/allocation.ts';
import { type Network, NetworkAttachment } from '../../../shared/wire/gen/objects.ts';
import { EndpointSpecResolutionMode, type ServiceSpec } from '../../../shared/wire/gen/specs.ts';
import {
  type IPAMConfig,
  IPAMConfigAddressFamily,
  type NetworkAttachmentConfig,
  type PortConfig,
  PortConfigPublishMode,
} from '../../../shared/wire/gen/types.ts';

/** What the user asks of an overlay network. */
export function askedOf(network: Network): NetworkGrant {
  const { spec } = network;
  return {
    configs: (spec.ipam?.configs ?? []).map(subnetConfig),
    vxlans: spec.driverConfig?.options[VXLAN_LIST_OPTION] ?? '',
  };
}

/** What the network has been given; undefined when it waits. */
export function grantedOf(network: Network): NetworkGrant | undefined {
  if (network.driverState === undefined) return undefined;
  return {
    configs: (network.ipam?.configs ?? []).map(subnetConfig),
    vxlans: network.driverState.options[VXLAN_LIST_OPTION] ?? '',
  };
}

function subnetConfig(config: IPAMConfig): SubnetConfig {
  const { subnet, range, gateway, reserved } = config;
  return { subnet, range, gateway, reserved: Object.values(reserved) };
}

/** The network with what it was given. */
export function withGrant(network: Network, grant: NetworkGrant): Network {
  const { spec } = network;
  const name = networkDriver(spec);
  const options = { ...spec.driverConfig?.options };
  if (name === 'overlay') options[VXLAN_LIST_OPTION] = grant.vxlans;
  const asked = spec.ipam?.configs ?? [];
  return {
    ...network,
    driverState: { name, options },
    ipam: {
      driver: {
        name: spec.ipam?.driver?.name || 'default',
        options: spec.ipam?.driver?.options ?? {},
      },
      configs: grant.configs.map(({ subnet, range, gateway }, i) => ({
        family: familyOf(subnet),
        subnet,
        range,
        gateway,
        reserved: asked[i]?.reserved ?? {},
      })),
    },
  };
}

function familyOf(subnet: string): IPAMConfigAddressFamily {
  const family = parseSubnet(subnet)?.family;
  return family === 6 ? IPAMConfigAddressFamily.IPV6 : IPAMConfigAddressFamily.IPV4;
}

/** A network of the node's own: it has a driver, and an IPAM without a driver, but no addresses. */
export function asNodeLocal(network: Network): Network {
  const { spec } = network;
  return {
    ...network,
    driverState: { name: networkDriver(spec), options: { ...spec.driverConfig?.options } },
    ipam: { driver: { name: '', options: {} }, configs: [] },
  };
}

/** Whether the network's addresses are the allocator's. */
export function isOurs(network: Network): boolean {
  return !isNodeLocal(network.spec);
}

/** Whether the service has virtual addresses; it has unless it asks for DNS round robin. */
export function wantsVips(spec: ServiceSpec): boolean {
  return spec.endpoint?.mode !== EndpointSpecResolutionMode.DNSRR;
}

/** The ports of a service in the allocator's words. */
export function portsOf(ports: readonly PortConfig[]): PublishedPort[] {
  return ports.map((port) => ({
    name: port.name,
    protocol: port.protocol,
    target: port.targetPort,
    published: port.publishedPort,
    host: port.publishMode === PortConfigPublishMode.HOST,
  }));
}

/** An attachment to the network, with what the task's spec says of it. */
export function attachmentTo(
  network: Network,
  addresses: readonly string[],
  config?: NetworkAttachmentConfig,
): NetworkAttachment {
  return NetworkAttachment.create({
    network,
    addresses,
    aliases: config?.aliases ?? [],
    driverAttachmentOpts: config?.driverAttachmentOpts ?? {},
  });
}
