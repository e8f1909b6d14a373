/** The orchestrators' questions to the shared rules: names, constraints, and what an update changes. */
import {
  constraintSubject,
  matchesConstraints,
  parseConstraints,
} from '../../shared/model/constraints.ts';
import type { Node, Service } from '../../shared/wire/gen/objects.ts';
import { dirtyTest } from '../../shared/model/dirty.ts';
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

/** Tells whether a task no longer is what its service asks for (behaviour rule 1.4). */
export function isDirtyTask(view: View, service: Service): (row: TaskRow) => boolean {
  const isDirty = dirtyTest(service);
  return (row) => isDirty(row, view.nodes.get(row.nodeId));
}
