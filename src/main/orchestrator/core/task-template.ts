/**
 * What a service's new task looks like (behaviour rule 1.1), and the two tests on tasks that every
 * orchestrator shares.
 */
import {
  PENDING_MESSAGE,
  plainEndpointOf,
  wantsNothing,
} from '../../../shared/model/allocation.ts';
import type { Cluster, Node, Service, Task } from '../../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../../shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState } from '../../../shared/wire/gen/types.ts';
import type { Timestamp } from '../../../shared/wire/gen/well-known.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import type { TaskRow } from '../../store/view.ts';

/**
 * A task without id, slot, node and name. One that wants nothing of the allocator begins as PENDING,
 * with the endpoint it would be given: a write less of four, and a wait less, in its life.
 *
 * @param desiredState RUNNING, or READY behind a delay
 */
export function taskTemplate(
  service: Service,
  cluster: Cluster | undefined,
  desiredState: TaskState,
  now: Timestamp,
): Init<Task> {
  const { spec } = service;
  const isPending = wantsNothing(service);
  const endpoint = spec.endpoint === undefined ? undefined : { spec: spec.endpoint };
  const [state, message] = isPending
    ? [TaskState.PENDING, PENDING_MESSAGE]
    : [TaskState.NEW, 'created'];
  return {
    serviceId: service.id,
    spec: spec.task,
    specVersion: service.specVersion,
    serviceAnnotations: spec.annotations,
    endpoint: isPending ? plainEndpointOf(spec) : endpoint,
    logDriver: spec.task.logDriver ?? cluster?.spec.taskDefaults.logDriver,
    status: { state, message, timestamp: now },
    desiredState,
    jobIteration: service.jobStatus?.jobIteration,
  };
}

/** Whether a task is meant to run, or to wait for its turn to run. */
export const isWanted = (row: TaskRow): boolean => row.desiredState <= TaskState.RUNNING;

/** Whether tasks on the node must be replaced: it is gone, down or drained. Unknown ones are not. */
export function isInvalidNode(node: Node | undefined): boolean {
  return (
    node === undefined ||
    node.status.state === NodeStatusState.DOWN ||
    node.spec.availability === NodeSpecAvailability.DRAIN
  );
}

/** When a task last said something: the later of the manager's and the agent's times. */
export const lastHeardMs = (row: TaskRow): number =>
  row.appliedAtMs === 0 ? row.statusAtMs : row.appliedAtMs;
