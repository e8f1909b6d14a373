/** Published ports across services, and the ingress network that carries them. */
import { isIngressNetwork } from '../../shared/model/networks.ts';
import { goQuote } from '../../shared/kit/go-text.ts';
import type { Network, Service } from '../../shared/wire/gen/objects.ts';
import type { ServiceSpec } from '../../shared/wire/gen/specs.ts';
import { PortConfigPublishMode, type PortConfig } from '../../shared/wire/gen/types.ts';
import type { View } from '../store/view.ts';
import { failedPrecondition, invalidArgument } from './refusals.ts';

const keyOf = (port: PortConfig): string => `${port.protocol}/${port.publishedPort}`;
const isIngress = (port: PortConfig): boolean => port.publishMode === PortConfigPublishMode.INGRESS;

/**
 * Turns down ports that another service has, by its spec or by allocation. Two services may publish
 * one port on hosts: their tasks are kept on different nodes.
 *
 * @param serviceId of the service that the spec is for; empty for a new one
 * @throws RpcError InvalidArgument
 */
export function refusePortConflicts(view: View, spec: ServiceSpec, serviceId: string): void {
  const ports = (spec.endpoint?.ports ?? []).filter((port) => port.publishedPort !== 0);
  if (ports.length === 0) return;
  const wished = new Map(ports.map((port) => [keyOf(port), port]));
  for (const service of view.services.all()) {
    if (service.id !== serviceId) refuseConflictsWith(service, wished);
  }
}

function refuseConflictsWith(service: Service, wished: ReadonlyMap<string, PortConfig>): void {
  const taken = [...(service.spec.endpoint?.ports ?? []), ...(service.endpoint?.ports ?? [])];
  for (const port of taken) {
    const wish = wished.get(keyOf(port));
    if (wish === undefined || (!isIngress(port) && !isIngress(wish))) continue;
    const how = isIngress(port) ? 'an ingress port' : 'a host-published port';
    const { name } = service.spec.annotations;
    throw invalidArgument(
      `port '${port.publishedPort}' is already in use by service '${name}' (${service.id}) as ${how}`,
    );
  }
}

/** Whether the service publishes a port on every node of the cluster. */
export function needsIngress(spec: ServiceSpec): boolean {
  return (spec.endpoint?.ports ?? []).some(isIngress);
}

export function ingressNetwork(view: View): Network | undefined {
  for (const network of view.networks.all()) if (isIngressNetwork(network.spec)) return network;
  return undefined;
}

/**
 * Turns down a service that names the ingress network, or needs it where there is none.
 *
 * @throws RpcError InvalidArgument, FailedPrecondition
 */
export function refuseIngressMisuse(view: View, spec: ServiceSpec): void {
  for (const { target } of [...spec.task.networks, ...spec.networks]) {
    const network = view.networks.get(target);
    if (network === undefined || !isIngressNetwork(network.spec)) continue;
    const name = goQuote(network.spec.annotations.name);
    throw invalidArgument(`Service cannot be explicitly attached to the ingress network ${name}`);
  }
  if (needsIngress(spec) && ingressNetwork(view) === undefined) {
    throw failedPrecondition('service needs ingress network, but no ingress network is present');
  }
}
