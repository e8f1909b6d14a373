/**
 * Global services: one wanted task on every eligible node that matches (behaviour rule 8.3).
 */
import type { Node } from '../../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../../shared/wire/gen/specs.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';
import type { TaskRow } from '../../store/view.ts';
import type { Creation, Plan } from './plan.ts';
import { isInvalidNode, isWanted } from './task-template.ts';

export type GlobalInput = {
  readonly nodes: Iterable<Node>;
  readonly tasks: readonly TaskRow[];
  readonly matches: (node: Node) => boolean;
  /** Whether the restart policy would replace this ended task. */
  readonly mayRestart: (row: TaskRow) => boolean;
};

function byNode(rows: readonly TaskRow[]): Map<string, TaskRow[]> {
  const nodes = new Map<string, TaskRow[]>();
  for (const row of rows) {
    const list = nodes.get(row.nodeId);
    if (list === undefined) nodes.set(row.nodeId, [row]);
    else list.push(row);
  }
  return nodes;
}

/**
 * Adds a task on each node that has none and may have one; ends those on nodes that may not. A paused
 * node keeps what it runs and gets nothing new. A task that ended for good keeps its node.
 */
export function reconcileGlobal(input: GlobalInput): Plan {
  const tasks = byNode(input.tasks);
  const create: Creation[] = [];
  const end: TaskRow[] = [];
  for (const node of input.nodes) {
    const here = tasks.get(node.id) ?? [];
    tasks.delete(node.id);
    const wanted = here.filter(isWanted);
    if (isInvalidNode(node) || !input.matches(node)) {
      end.push(...wanted);
    } else if (node.spec.availability === NodeSpecAvailability.ACTIVE) {
      const finished = here.some((row) => row.state > TaskState.RUNNING && !input.mayRestart(row));
      if (wanted.length === 0 && !finished) create.push({ slot: 0, nodeId: node.id });
      end.push(...wanted.toSorted((a, b) => b.state - a.state).slice(1));
    }
  }
  // What is left belongs to nodes that are gone.
  const lost = [...tasks.values()].flat();
  return {
    create,
    desire: end.map((row) => ({ taskId: row.id, state: TaskState.SHUTDOWN })),
    remove: lost.map((row) => row.id),
  };
}
