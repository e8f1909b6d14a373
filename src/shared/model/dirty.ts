/**
 * Whether a task still is what its service asks for (behaviour rule 1.4): rolling updates replace the
 * tasks that are not, and `task ls --up-to-date` shows those that are.
 */
import { deepEqual } from '../kit/deep-equal.ts';
import type { Endpoint, Node, Service, Task } from '../wire/gen/objects.ts';
import type { TaskSpec } from '../wire/gen/specs.ts';
import { TaskState } from '../wire/gen/types.ts';
import { constraintSubject, matchesConstraints, parseConstraints } from './constraints.ts';

/** What is compared of a task; a row of the task table is one, and decodes only when it must. */
export type ComparedTask = {
  /** The service's spec version that the task was made from; -1 when it has none. */
  readonly specVersion: number;
  /** Observed state. */
  readonly state: TaskState;
  readonly desiredState: TaskState;
  shared(): Pick<Task, 'spec'>;
  toTask(): Pick<Task, 'endpoint'>;
};

/**
 * Whether the task must be replaced to match the service.
 *
 * @param node the node the task is on; undefined when it has none, or its node is gone
 */
export function isDirty(
  service: Pick<Service, 'spec' | 'specVersion'>,
  task: ComparedTask,
  node: Node | undefined,
): boolean {
  if (service.specVersion !== undefined && service.specVersion.index === task.specVersion) {
    return false;
  }
  const wanted = service.spec.task;
  const actual = task.shared().spec;
  if (!deepEqual(wanted.placement, actual.placement) && !fits(wanted, node)) return true;
  return (
    !deepEqual(comparable(wanted, task), comparable(actual, task)) ||
    endpointDiffers(service, task.toTask().endpoint)
  );
}

/** Whether the node satisfies the spec's constraints, so that a task there may stay where it is. */
function fits(spec: TaskSpec, node: Node | undefined): boolean {
  if (node === undefined) return false;
  const parsed = parseConstraints(spec.placement?.constraints ?? []);
  return parsed.ok && matchesConstraints(parsed.constraints, constraintSubject(node));
}

/**
 * The spec without what does not make a task dirty: its placement, which has been looked at, and how
 * its image is pulled once that has happened.
 */
function comparable(spec: TaskSpec, task: ComparedTask): TaskSpec {
  const { runtime } = spec;
  const bare = { ...spec, placement: undefined };
  if (runtime?.case !== 'container' || !hasItsImage(task)) return bare;
  return {
    ...bare,
    runtime: { case: 'container', value: { ...runtime.value, pullOptions: undefined } },
  };
}

function hasItsImage(task: ComparedTask): boolean {
  return (
    task.desiredState <= TaskState.RUNNING &&
    task.state >= TaskState.READY &&
    task.state <= TaskState.RUNNING
  );
}

function endpointDiffers(service: Pick<Service, 'spec'>, endpoint: Endpoint | undefined): boolean {
  return endpoint !== undefined && !deepEqual(service.spec.endpoint, endpoint.spec);
}
