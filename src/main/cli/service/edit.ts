/** Changes to one part of a service's spec, the rest as it was. */
import {
  ContainerSpec,
  EndpointSpec,
  type ServiceSpec,
  type TaskSpec,
} from '../../../shared/wire/gen/specs.ts';
import {
  HealthConfig,
  Placement,
  ResourceRequirements,
  Resources,
  RestartPolicy,
  RestartPolicyRestartCondition,
  type UpdateConfig,
} from '../../../shared/wire/gen/types.ts';
import { DEFAULT_UPDATE_CONFIG } from '../../../shared/model/service-defaults.ts';

export function containerOf(spec: ServiceSpec): ContainerSpec {
  const { runtime } = spec.task;
  return runtime?.case === 'container' ? runtime.value : ContainerSpec.create();
}

export function withTask(spec: ServiceSpec, change: Partial<TaskSpec>): ServiceSpec {
  return { ...spec, task: { ...spec.task, ...change } };
}

export function withContainer(spec: ServiceSpec, change: Partial<ContainerSpec>): ServiceSpec {
  const value = { ...containerOf(spec), ...change };
  return withTask(spec, { runtime: { case: 'container', value } });
}

export function withHealth(spec: ServiceSpec, change: Partial<HealthConfig>): ServiceSpec {
  const health = containerOf(spec).healthcheck ?? HealthConfig.create();
  return withContainer(spec, { healthcheck: { ...health, ...change } });
}

export function withRestart(spec: ServiceSpec, change: Partial<RestartPolicy>): ServiceSpec {
  const restart =
    spec.task.restart ?? RestartPolicy.create({ condition: RestartPolicyRestartCondition.ANY });
  return withTask(spec, { restart: { ...restart, ...change } });
}

export function withPlacement(spec: ServiceSpec, change: Partial<Placement>): ServiceSpec {
  return withTask(spec, {
    placement: { ...(spec.task.placement ?? Placement.create()), ...change },
  });
}

export function withResources(
  spec: ServiceSpec,
  part: 'limits' | 'reservations',
  change: Partial<Resources>,
): ServiceSpec {
  const resources = spec.task.resources ?? ResourceRequirements.create();
  const changed = { ...(resources[part] ?? Resources.create()), ...change };
  return withTask(spec, { resources: { ...resources, [part]: changed } });
}

export function withUpdate(
  spec: ServiceSpec,
  part: 'update' | 'rollback',
  change: Partial<UpdateConfig>,
): ServiceSpec {
  return { ...spec, [part]: { ...(spec[part] ?? DEFAULT_UPDATE_CONFIG), ...change } };
}

export function withEndpoint(spec: ServiceSpec, change: Partial<EndpointSpec>): ServiceSpec {
  return { ...spec, endpoint: { ...(spec.endpoint ?? EndpointSpec.create()), ...change } };
}

export function withLogDriver(
  spec: ServiceSpec,
  change: { readonly name?: string; readonly options?: Readonly<Record<string, string>> },
): ServiceSpec {
  const driver = spec.task.logDriver ?? { name: '', options: {} };
  return withTask(spec, { logDriver: { ...driver, ...change } });
}
