/** Tasks as lists show them; why a task is not where it should be is never cut. */
import { millisOf } from '../../../shared/model/time.ts';
import { taskName } from '../../../shared/model/names.ts';
import type { Node, Task } from '../../../shared/wire/gen/objects.ts';
import { PortConfig, PortConfigPublishMode, TaskState } from '../../../shared/wire/gen/types.ts';
import { portText } from '../syntax/ports.ts';
import { ageText } from './age.ts';
import { type Json, messageJson, timeText, wordFor } from './message-json.ts';
import type { Column } from './table.ts';

export type TaskRow = { readonly task: Task; readonly node: Node | undefined };

/** `web.2`: the name without the task's id. */
export function slotName(task: Task): string {
  const name = taskName(task);
  return name.endsWith(`.${task.id}`) ? name.slice(0, -task.id.length - 1) : name;
}

export const stateWord = (state: TaskState): string => wordFor(TaskState, state);
const imageOf = ({ spec }: Task): string =>
  spec.runtime?.case === 'container' ? spec.runtime.value.image : '';
const portsOf = ({ status, endpoint }: Task): readonly PortConfig[] =>
  status.portStatus?.ports ??
  (endpoint?.ports ?? []).filter(({ publishMode }) => publishMode === PortConfigPublishMode.HOST);

const isOver = ({ desiredState }: Task): boolean => desiredState > TaskState.RUNNING;

/** Slot by slot: what is meant to run, then earlier attempts, the newest first. */
export function inOrder(rows: readonly TaskRow[]): readonly TaskRow[] {
  return rows.toSorted(
    ({ task: a }, { task: b }) =>
      a.serviceAnnotations.name.localeCompare(b.serviceAnnotations.name) ||
      a.slot - b.slot ||
      a.nodeId.localeCompare(b.nodeId) ||
      Number(isOver(a)) - Number(isOver(b)) ||
      millisOf(b.meta.createdAt) - millisOf(a.meta.createdAt) ||
      b.meta.version.index - a.meta.version.index,
  );
}

const hostnameOf = ({ task, node }: TaskRow, short: (id: string) => string): string =>
  node?.description?.hostname || short(task.nodeId);

export const taskColumns =
  (nowMs: number) =>
  (short: (id: string) => string): readonly Column<TaskRow>[] => [
    { title: 'id', cell: ({ task }) => short(task.id) },
    { title: 'name', cell: ({ task }) => slotName(task) },
    { title: 'image', cell: ({ task }) => imageOf(task) },
    { title: 'node', cell: (row) => hostnameOf(row, short) },
    { title: 'desired', cell: ({ task }) => stateWord(task.desiredState) },
    {
      title: 'current',
      cell: ({ task: { status } }) =>
        `${stateWord(status.state)} ${ageText(nowMs - millisOf(status.timestamp))}`,
    },
    { title: 'error', wraps: true, cell: ({ task }) => task.status.err },
    { title: 'ports', cell: ({ task }) => [...new Set(portsOf(task).map(portText))].join(', ') },
  ];

export function taskJson({ task, node }: TaskRow): Json {
  const { status } = task;
  const container = status.runtimeStatus?.value;
  return {
    id: task.id,
    name: slotName(task),
    slot: task.slot,
    serviceId: task.serviceId,
    service: task.serviceAnnotations.name,
    nodeId: task.nodeId,
    node: node?.description?.hostname ?? null,
    image: imageOf(task),
    desiredState: stateWord(task.desiredState),
    state: stateWord(status.state),
    since: status.timestamp === undefined ? null : timeText(status.timestamp),
    message: status.message,
    error: status.err,
    exitCode:
      container === undefined || status.state < TaskState.COMPLETE ? null : container.exitCode,
    containerId: container?.containerId ?? null,
    ports: portsOf(task).map((port) => messageJson(PortConfig, port)),
  };
}
