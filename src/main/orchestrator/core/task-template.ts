/**
 * What a service's new task looks like (behaviour rule 1.1), and the two tests on tasks that every
 * orchestrator shares.
 */
import type { Cluster, Node, Service, Task } from '../../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../../shared/wire/gen/specs.ts';
import { NodeStatusState, TaskState } from '../../../shared/wire/gen/types.ts';
import type { Timestamp } from '../../../shared/wire/gen/well-known.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import type { TaskRow } from '../../store/view.ts';

/** A task without id, slot, node and name. `desiredState` is RUNNING, or READY behind a delay. */
export function taskTemplate(
  service: Service,
  cluster: Cluster | undefined,
  desiredState: TaskState,
  now: Timestamp,
): Init<Task> {
  const { spec } = service;
  return {
    serviceId: service.id,
    spec: spec.task,
    specVersion: service.specVersion,
    serviceAnnotations: spec.annotations,
    endpoint: spec.endpoint === undefined ? undefined : { spec: spec.endpoint },
    logDriver: spec.task.logDriver ?? cluster?.spec.taskDefaults.logDriver,
    status: { state: TaskState.NEW, message: 'created', timestamp: now },
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
