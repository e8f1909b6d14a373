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

/** What `dirtyTest` gives: whether the task must be replaced to match the service. */
export type DirtyTest = (
  task: ComparedTask,
  /** The node the task is on; undefined when it has none, or its node is gone. */
  node: Node | undefined,
) => boolean;

/**
 * Tells of the tasks of one service, as it is now, whether they must be replaced. What tasks share is
 * compared once for all that share it: an update of thousands asks this of each, again and again.
 */
export function dirtyTest(service: Pick<Service, 'spec' | 'specVersion'>): DirtyTest {
  const { spec, specVersion } = service;
  const fits = fitTest(spec.task);
  const compared = new Map<TaskSpec, Comparison>();
  return (task, node) => {
    if (specVersion !== undefined && specVersion.index === task.specVersion) return false;
    const actual = task.shared().spec;
    const known = compared.get(actual);
    const same = known ?? compare(spec.task, actual);
    if (known === undefined) compared.set(actual, same);
    if (!same.placement && !fits(node)) return true;
    const isSame = hasItsImage(task) ? same.pulled : same.rest;
    return !isSame || endpointDiffers(service, task.toTask().endpoint);
  };
}

/** `dirtyTest` for a single task. */
export const isDirty = (
  service: Pick<Service, 'spec' | 'specVersion'>,
  task: ComparedTask,
  node: Node | undefined,
): boolean => dirtyTest(service)(task, node);

/** Which parts of two specs are the same. */
type Comparison = {
  readonly placement: boolean;
  /** All but the placement. */
  readonly rest: boolean;
  /** All but the placement and how the image is pulled, which does not matter once that has happened. */
  readonly pulled: boolean;
};

const bare = (spec: TaskSpec): TaskSpec => ({ ...spec, placement: undefined });

function compare(wanted: TaskSpec, actual: TaskSpec): Comparison {
  const rest = deepEqual(bare(wanted), bare(actual));
  return {
    placement: deepEqual(wanted.placement, actual.placement),
    rest,
    pulled: rest || deepEqual(withoutPulling(bare(wanted)), withoutPulling(bare(actual))),
  };
}

function withoutPulling(spec: TaskSpec): TaskSpec {
  const { runtime } = spec;
  if (runtime?.case !== 'container') return spec;
  return {
    ...spec,
    runtime: { case: 'container', value: { ...runtime.value, pullOptions: undefined } },
  };
}

/** Whether a node satisfies the spec's constraints, so that a task there may stay where it is. */
function fitTest({ placement }: TaskSpec): (node: Node | undefined) => boolean {
  let parsed: ReturnType<typeof parseConstraints> | undefined;
  return (node) => {
    if (node === undefined) return false;
    parsed ??= parseConstraints(placement?.constraints ?? []);
    return parsed.ok && matchesConstraints(parsed.constraints, constraintSubject(node));
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
