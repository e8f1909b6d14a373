/** How many tasks of a service run and how many should, counted on rows without decoding any. */
import { isJob } from '../../shared/model/checks/service-checks.ts';
import type {
  ListServiceStatusesRequest,
  ListServiceStatusesResponse,
  ListServiceStatusesResponseServiceStatus,
} from '../../shared/wire/gen/control.ts';
import type { Service } from '../../shared/wire/gen/objects.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { Handlers } from '../rpc/service.ts';
import type { TaskRow, View } from '../store/view.ts';
import type { ControlContext } from './context.ts';

type ServiceStatus = ListServiceStatusesResponseServiceStatus;

export function serviceStatusHandlers(
  context: ControlContext,
): Pick<Handlers<'Control'>, 'ListServiceStatuses'> {
  return {
    ListServiceStatuses: (request, _caller, { signal }) => statuses(context, request, signal),
  };
}

/** One status for each id asked for, in that order. */
async function statuses(
  { store, nextTurn }: ControlContext,
  { services }: ListServiceStatusesRequest,
  signal: AbortSignal,
): Promise<ListServiceStatusesResponse> {
  const counted: ServiceStatus[] = [];
  for (const serviceId of services) {
    counted.push(store.view((view) => status(view, serviceId)));
    await nextTurn();
    signal.throwIfAborted();
  }
  return { statuses: counted };
}

function status(view: View, serviceId: string): ServiceStatus {
  const service = view.services.get(serviceId);
  const tasks = view.tasks.byService(serviceId);
  const ofIteration = tasks.filter((task) => isOfIteration(service, task));
  return {
    serviceId,
    desiredTasks: desired(service, ofIteration),
    runningTasks: count(tasks, (task) => task.state === TaskState.RUNNING),
    completedTasks: runsToEnd(service)
      ? count(ofIteration, (task) => task.state === TaskState.COMPLETE)
      : 0,
  };
}

const runsToEnd = (service: Service | undefined): boolean =>
  service !== undefined && isJob(service.spec);

/** Whether the task belongs to the job's present run; every task of another service does. */
function isOfIteration(service: Service | undefined, task: TaskRow): boolean {
  return !runsToEnd(service) || task.jobIteration === (service?.jobStatus?.jobIteration.index ?? 0);
}

function desired(service: Service | undefined, tasks: readonly TaskRow[]): number {
  const mode = service?.spec.mode;
  switch (mode?.case) {
    case 'replicated':
      return asNumber(mode.value.replicas);
    case 'replicatedJob':
      return asNumber(mode.value.maxConcurrent);
    case 'global':
      return count(tasks, (task) => task.desiredState === TaskState.RUNNING);
    case 'globalJob':
      return count(tasks, isWantedComplete);
    case undefined:
    default:
      return 0;
  }
}

/** A task of a job that is to end and has not. */
function isWantedComplete(task: TaskRow): boolean {
  return task.desiredState === TaskState.COMPLETE && task.state !== TaskState.COMPLETE;
}

/** The wire's counts are numbers here; nobody has more tasks than those can tell apart. */
function asNumber(amount: bigint): number {
  return Number(amount < Number.MAX_SAFE_INTEGER ? amount : Number.MAX_SAFE_INTEGER);
}

function count(tasks: readonly TaskRow[], wanted: (task: TaskRow) => boolean): number {
  return tasks.reduce((sum, task) => sum + (wanted(task) ? 1 : 0), 0);
}
