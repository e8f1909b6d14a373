/**
 * What a service asks of the allocator, what comes of it, and how its tasks say that they have it. A
 * service of no networks and no ports that go through the ingress asks for nothing: its endpoint
 * follows from its spec, and its tasks need not wait for the allocator.
 */
import { Endpoint, type Service } from '../wire/gen/objects.ts';
import type { ServiceSpec, TaskSpec } from '../wire/gen/specs.ts';
import {
  type NetworkAttachmentConfig,
  type PortConfig,
  PortConfigPublishMode,
} from '../wire/gen/types.ts';

/** The message of a PENDING task, which has all it wants of the allocator (behaviour rule 1.2). */
export const PENDING_MESSAGE = 'pending task scheduling';

/** The networks that a task is attached to; those of old services stand in the service's spec. */
export function networkRefs(
  spec: TaskSpec,
  service: Service | undefined,
): readonly NetworkAttachmentConfig[] {
  return spec.networks.length > 0 ? spec.networks : (service?.spec.networks ?? []);
}

const isIngress = (port: PortConfig): boolean => port.publishMode === PortConfigPublishMode.INGRESS;

/** Whether a port of the spec goes through the ingress network. */
export function publishesIngress(spec: ServiceSpec): boolean {
  return (spec.endpoint?.ports ?? []).some(isIngress);
}

/** Whether the service and its tasks want nothing of the allocator, and the service holds nothing of it. */
export function wantsNothing(service: Service): boolean {
  if (publishesIngress(service.spec)) return false;
  if (networkRefs(service.spec.task, service).length > 0) return false;
  const { ports = [], virtualIps = [] } = service.endpoint ?? {};
  return virtualIps.length === 0 && !ports.some(isIngress);
}

export type Vip = { readonly networkId: string; readonly addr: string };

/** The endpoint that follows from a spec and what it was given; undefined where there is none. */
export function endpointOf(
  spec: ServiceSpec,
  given: { readonly vips: readonly Vip[]; readonly published: readonly number[] },
): Endpoint | undefined {
  if (spec.endpoint === undefined && given.vips.length === 0) return undefined;
  return Endpoint.create({
    spec: spec.endpoint,
    ports: (spec.endpoint?.ports ?? []).map((port, i) => ({
      ...port,
      publishedPort: given.published[i] ?? port.publishedPort,
    })),
    virtualIps: given.vips,
  });
}

/** The endpoint of a service that needs nothing from the allocator. */
export function plainEndpointOf(spec: ServiceSpec): Endpoint | undefined {
  return endpointOf(spec, { vips: [], published: [] });
}
