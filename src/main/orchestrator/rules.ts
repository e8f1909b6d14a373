/** The orchestrators' questions to the shared rules: names, constraints, and what an update changes. */
import {
  constraintSubject,
  matchesConstraints,
  parseConstraints,
} from '../../shared/model/constraints.ts';
import type { Node, Service } from '../../shared/wire/gen/objects.ts';
import { EndpointSpec, TaskSpec } from '../../shared/wire/gen/specs.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { TaskRow, View } from '../store/view.ts';

/** A task's name, also its container's (behaviour rule 1.3). */
export function taskName(service: Service, slot: number, nodeId: string, taskId: string): string {
  return `${service.spec.annotations.name}.${slot === 0 ? nodeId : slot}.${taskId}`;
}

/** Whether a node meets the service's constraints; constraints that do not parse match no node. */
export function matchesService(service: Service): (node: Node) => boolean {
  const parsed = parseConstraints(service.spec.task.placement?.constraints ?? []);
  if (!parsed.ok) return () => false;
  return (node) => matchesConstraints(parsed.constraints, constraintSubject(node));
}

const same = (a: Uint8Array, b: Uint8Array): boolean => Buffer.compare(a, b) === 0;

/** A spec's bytes with what a running task does not depend on left out. */
function essence(spec: TaskSpec, ignorePull: boolean): Uint8Array {
  const { runtime } = spec;
  if (!ignorePull || runtime?.case !== 'container') return TaskSpec.encode(spec);
  const value = { ...runtime.value, pullOptions: undefined };
  return TaskSpec.encode({ ...spec, runtime: { case: 'container', value } });
}

/**
 * Whether a task no longer is what its service asks for (behaviour rule 1.4). Tasks of the current
 * version are clean without a look; a changed placement that the task's node still meets is, too.
 */
export function isDirtyTask(view: View, service: Service): (row: TaskRow) => boolean {
  const matches = matchesService(service);
  const wanted = service.spec.task;
  const endpoint = EndpointSpec.encode(service.spec.endpoint ?? EndpointSpec.create());
  return (row) => {
    if (row.specVersion === (service.specVersion?.index ?? -1)) return false;
    const { spec } = row.shared();
    const node = view.nodes.get(row.nodeId);
    const placed = { ...spec, placement: wanted.placement };
    const samePlacement = same(TaskSpec.encode(spec), TaskSpec.encode(placed));
    if (!samePlacement && (node === undefined || !matches(node))) return true;
    const settled =
      row.desiredState <= TaskState.RUNNING &&
      row.state >= TaskState.READY &&
      row.state <= TaskState.RUNNING;
    if (!same(essence(placed, settled), essence(wanted, settled))) return true;
    const used = row.allocated ? row.toTask().endpoint?.spec : undefined;
    return used !== undefined && !same(EndpointSpec.encode(used), endpoint);
  };
}
