/** `skein service ps`: the tasks of services, and why any of them is not where it should be. */
import { Flags } from '@oclif/core';
import { ClientCommand, listFlags } from '../../cli/client-command.ts';
import { CommandError, ExitCode } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { findService } from '../../cli/lookup.ts';
import { listTasks, TASK_FILTERS } from '../../cli/task-list.ts';
import { taskColumns, taskJson } from '../../cli/present/tasks.ts';
import { filtersOf } from '../../cli/filters.ts';
import { realEnv } from '../../env.ts';

export class ServicePsCommand extends ClientCommand {
  static override summary = 'List the tasks of services';
  static override description = `Filters: ${TASK_FILTERS.join(', ')}.`;
  static override usage = 'service ps [FLAGS] SERVICE...';
  static override strict = false;
  static override flags = {
    ...listFlags,
    all: Flags.boolean({
      char: 'a',
      description: 'tasks that are not meant to run any more too',
      default: true,
      allowNo: true,
    }),
  };

  async run(): Promise<void> {
    const { argv, flags } = await this.parse(ServicePsCommand);
    if (argv.length === 0) throw new CommandError('name at least one service', ExitCode.USAGE);
    const filters = filtersOf(flags.filter, TASK_FILTERS);
    await withCluster(flags.socket, async ({ control }) => {
      const services = await Promise.all(argv.map((word) => findService(control, String(word))));
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
