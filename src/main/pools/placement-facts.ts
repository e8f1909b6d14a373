/** What placement needs to know of a node and of a task, picked from the stored objects. */
import {
  hostPort,
  type GenericClaim,
  type GenericOffer,
  type GenericRequest,
  type NodeFacts,
  type Plugin,
  type Profile,
} from '../../shared/lanes/placement.ts';
import { constraintSubject } from '../../shared/model/constraints.ts';
import type { Node, Task } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import {
  MountType,
  NodeStatusState,
  PortConfigPublishMode,
  type GenericResource,
} from '../../shared/wire/gen/types.ts';

/** The service label that names the executor its tasks must run on. */
const RUNTIME_LABEL = 'com.skein.runtime';

/** Whether a node may be given new tasks. */
export function isAvailable(node: Node): boolean {
  return (
    node.status.state === NodeStatusState.READY &&
    node.spec.availability === NodeSpecAvailability.ACTIVE
  );
}

export function nodeFacts(node: Node): NodeFacts {
  const { description } = node;
  return {
    subject: constraintSubject(node),
    available: isAvailable(node),
    hasPlatform: description?.platform !== undefined,
    nanoCpus: description?.resources?.nanoCpus ?? 0,
    memoryBytes: description?.resources?.memoryBytes ?? 0,
    generic: offers(description?.resources?.generic ?? []),
    plugins: description?.engine?.plugins.map(({ type, name }) => ({ type, name })),
  };
}

/** One offer for each kind; a kind with names is offered by name. */
function offers(resources: readonly GenericResource[]): GenericOffer[] {
  return claimsOf(resources);
}

/** Generic resources of the wire gathered by kind, in the order in which the kinds come. */
export function claimsOf(resources: readonly GenericResource[]): GenericClaim[] {
  const names = new Map<string, string[]>();
  const counts = new Map<string, number>();
  for (const { resource } of resources) {
    if (resource === undefined) continue;
    if (resource.case === 'namedResourceSpec') {
      const { kind, value } = resource.value;
      names.set(kind, [...(names.get(kind) ?? []), value]);
    } else {
      const { kind, value } = resource.value;
      counts.set(kind, (counts.get(kind) ?? 0) + value);
    }
  }
  return [
    ...[...names].map(([kind, named]) => ({ kind, names: named, count: 0 })),
    ...[...counts].map(([kind, count]) => ({ kind, names: [], count })),
  ];
}

/** Claims as the task carries them: one entry for each name, or one with the number. */
export function genericResources(claims: readonly GenericClaim[]): GenericResource[] {
  return claims.flatMap(({ kind, names, count }): GenericResource[] => {
    if (names.length === 0) {
      return [{ resource: { case: 'discreteResourceSpec', value: { kind, value: count } } }];
    }
    return names.map((value) => ({
      resource: { case: 'namedResourceSpec', value: { kind, value } },
    }));
  });
}

export function profileOf(task: Task): Profile {
  const { placement, resources } = task.spec;
  const reservations = resources?.reservations;
  return {
    constraints: placement?.constraints ?? [],
    platforms: (placement?.platforms ?? []).map(({ os, architecture }) => ({ os, architecture })),
    nanoCpus: reservations?.nanoCpus ?? 0,
    memoryBytes: reservations?.memoryBytes ?? 0,
    generic: requests(reservations?.generic ?? []),
    spread: (placement?.preferences ?? []).flatMap(({ preference }) =>
      preference === undefined ? [] : [preference.value.spreadDescriptor],
    ),
    replicasMax: placement?.maxReplicas ?? 0,
    hostPorts: (task.endpoint?.ports ?? [])
      .filter((port) => port.publishMode === PortConfigPublishMode.HOST && port.publishedPort > 0)
      .map((port) => hostPort(port.protocol, port.publishedPort)),
    plugins: [...volumePlugins(task), ...networkPlugins(task), ...logPlugins(task)],
    runtime: task.serviceAnnotations.labels[RUNTIME_LABEL] ?? '',
  };
}

/** Tasks ask for numbers of a kind; what asks for a name asks for one of its kind. */
function requests(resources: readonly GenericResource[]): GenericRequest[] {
  return claimsOf(resources).map(({ kind, names, count }) => ({
    kind,
    count: count + names.length,
  }));
}

function volumePlugins(task: Task): Plugin[] {
  const { runtime } = task.spec;
  if (runtime?.case !== 'container') return [];
  return runtime.value.mounts
    .filter((mount) => mount.type === MountType.VOLUME)
    .map((mount) => mount.volumeOptions?.driverConfig?.name ?? '')
    .filter((name) => name !== '' && name !== 'local')
    .map((name) => ({ type: 'Volume', name }));
}

function networkPlugins(task: Task): Plugin[] {
  return task.networks.flatMap(({ network }) => {
    const name = network?.driverState?.name ?? '';
    return name === '' ? [] : [{ type: 'Network', name }];
  });
}

function logPlugins(task: Task): Plugin[] {
  const name = task.spec.logDriver?.name ?? '';
  return name === '' || name === 'none' ? [] : [{ type: 'Log', name }];
}
