/** Tasks by the filters of `task ls`, `service ps` and `node` commands, with the nodes they are on. */
import type { Node } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { Control } from './connection.ts';
import { enumFilter, type FilterWords, nameFilters } from './filters.ts';
import { findNode } from './lookup.ts';
import { inOrder, type TaskRow } from './present/tasks.ts';

export const TASK_FILTERS = [
  'id',
  'name',
  'label',
  'node',
  'desired-state',
  'state',
  'up-to-date',
] as const;

const STATES = Object.fromEntries(
  Object.entries(TaskState).map(([name, value]) => [name.toLowerCase(), value]),
);

export type TaskQuery = {
  readonly filters: FilterWords;
  readonly serviceIds?: readonly string[];
  /** Also what is not meant to run any more. */
  readonly all: boolean;
};

export async function listTasks(
  control: Control,
  { filters, serviceIds = [], all }: TaskQuery,
): Promise<readonly TaskRow[]> {
  const nodes = await Promise.all(
    (filters.get('node') ?? []).map((word) => findNode(control, word)),
  );
  const observed = enumFilter(filters, 'state', STATES);
  const request = {
    ...nameFilters(filters),
    serviceIds,
    nodeIds: nodes.map(({ id }) => id),
    desiredStates: enumFilter(filters, 'desired-state', STATES),
    upToDate: filters.get('up-to-date')?.includes('true') ?? false,
  };
  const [{ tasks }, byId] = await Promise.all([
    control.ListTasks({ filters: request }),
    nodesById(control),
  ]);
  const shown = tasks.filter(
    ({ status, desiredState }) =>
      (observed.length === 0 || observed.includes(status.state)) &&
      (all || desiredState <= TaskState.RUNNING),
  );
  return inOrder(shown.map((task) => ({ task, node: byId.get(task.nodeId) })));
}

async function nodesById(control: Control): Promise<ReadonlyMap<string, Node>> {
  const { nodes } = await control.ListNodes({});
  return new Map(nodes.map((node) => [node.id, node]));
}
