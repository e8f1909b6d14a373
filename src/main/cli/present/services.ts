/** Services as lists show them. */
import type { Service } from '../../../shared/wire/gen/objects.ts';
import type { ListServiceStatusesResponseServiceStatus as Status } from '../../../shared/wire/gen/control.ts';
import { PortConfig } from '../../../shared/wire/gen/types.ts';
import { containerOf } from '../service/edit.ts';
import { portText } from '../syntax/ports.ts';
import { type Json, messageJson, timeText } from './message-json.ts';
import type { Column } from './table.ts';

export type ServiceRow = { readonly service: Service; readonly status: Status | undefined };

const MODE_WORDS = {
  replicated: 'replicated',
  global: 'global',
  replicatedJob: 'replicated-job',
  globalJob: 'global-job',
} as const;

export const modeWord = ({ spec }: Service): string =>
  spec.mode === undefined ? '' : MODE_WORDS[spec.mode.case];

/** Published ports with the numbers that were given where none was asked for. */
export const portsOfService = ({ spec, endpoint }: Service): readonly PortConfig[] =>
  endpoint === undefined || endpoint.ports.length === 0
    ? (spec.endpoint?.ports ?? [])
    : endpoint.ports;

function replicasText({ service, status }: ServiceRow): string {
  if (status === undefined) return '?';
  const { runningTasks: running, desiredTasks: desired, completedTasks: completed } = status;
  const { mode } = service.spec;
  if (mode?.case === 'replicatedJob') {
    return `${running}/${desired} (${completed}/${mode.value.totalCompletions} completed)`;
  }
  return mode?.case === 'globalJob'
    ? `${running}/${desired} (${completed} completed)`
    : `${running}/${desired}`;
}

export const serviceColumns = (short: (id: string) => string): readonly Column<ServiceRow>[] => [
  { title: 'id', cell: ({ service }) => short(service.id) },
  { title: 'name', cell: ({ service }) => service.spec.annotations.name },
  { title: 'mode', cell: ({ service }) => modeWord(service) },
  { title: 'replicas', cell: replicasText },
  { title: 'image', cell: ({ service }) => containerOf(service.spec).image },
  { title: 'ports', cell: ({ service }) => portsOfService(service).map(portText).join(', ') },
];

export function serviceJson({ service, status }: ServiceRow): Json {
  const { createdAt, updatedAt } = service.meta;
  return {
    id: service.id,
    name: service.spec.annotations.name,
    mode: modeWord(service),
    desired: status?.desiredTasks ?? 0,
    running: status?.runningTasks ?? 0,
    completed: status?.completedTasks ?? 0,
    image: containerOf(service.spec).image,
    ports: portsOfService(service).map((port) => messageJson(PortConfig, port)),
    labels: service.spec.annotations.labels,
    createdAt: createdAt === undefined ? null : timeText(createdAt),
    updatedAt: updatedAt === undefined ? null : timeText(updatedAt),
  };
}
