/** `skein task inspect`. */
import { argument } from '../../cli/arguments.ts';
import { Task } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { findTask } from '../../cli/lookup.ts';

export class TaskInspectCommand extends ClientCommand {
  static override summary = 'Show all there is to know about a task';
  static override args = { task: argument('id or name') };
  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(TaskInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      await this.show(flags, Task, await findTask(control, args.task));
    });
  }
}
