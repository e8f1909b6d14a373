/** Tasks: get, list, remove. Only orchestrators and network attachments make them. */
import {
  RemoveTaskResponse,
  type GetTaskRequest,
  type RemoveTaskRequest,
} from '../../shared/wire/gen/control.ts';
import type { Task } from '../../shared/wire/gen/objects.ts';
import type { Handlers } from '../rpc/service.ts';
import type { ControlContext } from './context.ts';
import { found, required } from './refusals.ts';
import { listTasks } from './task-list.ts';

type TaskHandlers = Pick<Handlers<'Control'>, 'GetTask' | 'ListTasks' | 'RemoveTask'>;

export function taskHandlers(context: ControlContext): TaskHandlers {
  return {
    GetTask: (request) => ({ task: get(context, request) }),
    ListTasks: (request, _caller, { signal }) => listTasks(context, request.filters, { signal }),
    RemoveTask: async (request) => remove(context, request),
  };
}

function get({ store }: ControlContext, request: GetTaskRequest): Task {
  const id = required(request.taskId, 'the task ID');
  return found(
    store.view((view) => view.tasks.get(id)?.toTask()),
    'task',
    id,
  );
}

/** At once: its slot is filled again. */
async function remove(
  { store }: ControlContext,
  request: RemoveTaskRequest,
): Promise<RemoveTaskResponse> {
  const id = required(request.taskId, 'the task ID');
  await store.update((tx) => {
    found(tx.tasks.get(id), 'task', id);
    tx.tasks.remove(id);
  });
  return RemoveTaskResponse.create();
}
