/**
 * A task's networks on an engine that is in no swarm of its own. The host's network and the engine's
 * predefined ones are used as they are. A network of the cluster is stood in for by a bridge on this
 * engine, one for each network, with the network's own subnet and the task's own address: tasks of one
 * machine reach each other by name, those of other machines not at all. Ingress is left out.
 */
import type Docker from 'dockerode';
import type { NetworkAttachment, Task } from '../../../../shared/wire/gen/objects.ts';

const PREDEFINED_LABEL = 'com.docker.swarm.predefined';
const NETWORK_LABEL = 'skein.network.id';

export type NetworkSettings = {
  /** What the container is created with: a network's name, or the engine's default. */
  readonly mode: string;
  /** Its place in the network of `mode`, if that is a bridge of ours. */
  readonly endpoint: Docker.EndpointSettings | undefined;
  /** Attachments to bridges of ours; the container is connected to all but the first afterwards. */
  readonly bridges: readonly NetworkAttachment[];
};

export function networkSettings(task: Task): NetworkSettings {
  const usable = task.networks.filter(({ network }) => network?.spec.ingress === false);
  const predefined = usable.find(isPredefined);
  if (predefined !== undefined) {
    // The engine's own networks cannot be combined with others by this means.
    const name = predefined.network?.spec.annotations.name ?? 'default';
    return { mode: name, endpoint: undefined, bridges: [] };
  }
  const [first] = usable;
  if (first === undefined) return { mode: 'default', endpoint: undefined, bridges: [] };
  return { mode: bridgeName(first), endpoint: endpointSettings(task, first), bridges: usable };
}

function isPredefined({ network }: NetworkAttachment): boolean {
  return network?.spec.annotations.labels[PREDEFINED_LABEL] === 'true';
}

/** The name of the bridge that stands for a network on this engine. */
export function bridgeName({ network }: NetworkAttachment): string {
  return `skein-${network?.id ?? ''}`;
}

/** Under which names and at which address the task is found in a network. */
export function endpointSettings(
  task: Task,
  attachment: NetworkAttachment,
): Docker.EndpointSettings {
  const service = task.serviceAnnotations.name;
  const names = service === '' ? [] : [service, `tasks.${service}`];
  const addresses = attachment.addresses.map((address) => address.split('/')[0] ?? '');
  const ipv4 = addresses.find((address) => address.includes('.'));
  const ipv6 = addresses.find((address) => address.includes(':'));
  return {
    Aliases: [...new Set([...attachment.aliases, ...names])],
    IPAMConfig: {
      ...(ipv4 !== undefined && { IPv4Address: ipv4 }),
      ...(ipv6 !== undefined && { IPv6Address: ipv6 }),
    },
  };
}

/** What the engine is asked to create for a network. */
export function bridgeSettings(attachment: NetworkAttachment): Docker.NetworkCreateOptions {
  const { network } = attachment;
  const configs = network?.ipam?.configs ?? [];
  return {
    Name: bridgeName(attachment),
    Driver: 'bridge',
    CheckDuplicate: true,
    Internal: network?.spec.internal ?? false,
    EnableIPv6: network?.spec.ipv6Enabled ?? false,
    Labels: { [NETWORK_LABEL]: network?.id ?? '' },
    IPAM: {
      Config: configs.map(({ subnet, gateway, range }) => ({
        Subnet: subnet,
        ...(gateway !== '' && { Gateway: gateway.split('/')[0] ?? '' }),
        ...(range !== '' && { IPRange: range }),
      })),
    },
  };
}
