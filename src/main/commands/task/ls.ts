/** `skein task ls`: tasks of all services. */
import { Flags } from '@oclif/core';
import { ClientCommand, listFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { filtersOf } from '../../cli/filters.ts';
import { findService } from '../../cli/lookup.ts';
import { taskColumns, taskJson } from '../../cli/present/tasks.ts';
import { listTasks, TASK_FILTERS } from '../../cli/task-list.ts';
import { realEnv } from '../../env.ts';

const KEYS = [...TASK_FILTERS, 'service'];

export class TaskLsCommand extends ClientCommand {
  static override summary = 'List tasks';
  static override description = `Without --all only those that are meant to run. Filters: ${KEYS.join(', ')}.`;
  static override flags = {
    ...listFlags,
    all: Flags.boolean({ char: 'a', description: 'tasks that are not meant to run any more too' }),
  };

  async run(): Promise<void> {
    const { flags } = await this.parse(TaskLsCommand);
    const filters = filtersOf(flags.filter, KEYS);
    await withCluster(flags.socket, async ({ control }) => {
      const services = await Promise.all(
        (filters.get('service') ?? []).map((word) => findService(control, word)),
      );
      const serviceIds = services.map(({ id }) => id);
      const rows = await listTasks(control, { filters, serviceIds, all: flags.all });
      this.list(flags, {
        rows,
        id: ({ task }) => task.id,
        columns: taskColumns(realEnv.nowMs()),
        json: taskJson,
      });
    });
  }
}
