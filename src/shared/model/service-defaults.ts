/**
 * What a service means where its spec says nothing (behaviour rule 0.4). Stored specs stay as they
 * were written: whoever acts on one fills it in.
 */
import {
  ContainerSpecDNSConfig,
  ContainerSpecPullOptions,
  type ContainerSpec,
  type ServiceSpec,
  type TaskSpec,
} from '../wire/gen/specs.ts';
import {
  Placement,
  ResourceRequirements,
  RestartPolicy,
  RestartPolicyRestartCondition,
  UpdateConfig,
  UpdateConfigFailureAction,
  UpdateConfigUpdateOrder,
} from '../wire/gen/types.ts';
import { Duration } from '../wire/gen/well-known.ts';

/** Time for a container to stop by itself. */
const DEFAULT_STOP_GRACE_PERIOD = Duration.create({ seconds: 10 });

const DEFAULT_RESTART_POLICY = RestartPolicy.create({
  condition: RestartPolicyRestartCondition.ANY,
  delay: { seconds: 5 },
});

/** How services are updated, and rolled back. */
export const DEFAULT_UPDATE_CONFIG = UpdateConfig.create({
  parallelism: 1,
  failureAction: UpdateConfigFailureAction.PAUSE,
  monitor: { seconds: 5 },
  order: UpdateConfigUpdateOrder.STOP_FIRST,
});

/** The spec with every default written out. A job has no updates and so no defaults for them. */
export function withDefaults(spec: ServiceSpec): ServiceSpec {
  const filled = { ...spec, task: taskWithDefaults(spec.task) };
  const isJob = spec.mode?.case === 'replicatedJob' || spec.mode?.case === 'globalJob';
  if (isJob) return filled;
  return {
    ...filled,
    update: updateWithDefaults(spec.update),
    rollback: updateWithDefaults(spec.rollback),
  };
}

function taskWithDefaults(task: TaskSpec): TaskSpec {
  const { runtime, restart } = task;
  return {
    ...task,
    runtime:
      runtime?.case === 'container'
        ? { case: 'container', value: containerWithDefaults(runtime.value) }
        : runtime,
    resources: task.resources ?? ResourceRequirements.create(),
    restart:
      restart === undefined
        ? DEFAULT_RESTART_POLICY
        : { ...restart, delay: restart.delay ?? DEFAULT_RESTART_POLICY.delay },
    placement: task.placement ?? Placement.create(),
  };
}

function containerWithDefaults(container: ContainerSpec): ContainerSpec {
  return {
    ...container,
    stopGracePeriod: container.stopGracePeriod ?? DEFAULT_STOP_GRACE_PERIOD,
    pullOptions: container.pullOptions ?? ContainerSpecPullOptions.create(),
    dnsConfig: container.dnsConfig ?? ContainerSpecDNSConfig.create(),
  };
}

function updateWithDefaults(update: UpdateConfig | undefined): UpdateConfig {
  if (update === undefined) return DEFAULT_UPDATE_CONFIG;
  return { ...update, monitor: update.monitor ?? DEFAULT_UPDATE_CONFIG.monitor };
}
