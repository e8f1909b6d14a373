/** `skein cluster status`: how the managers are, by the word of one of them and of those it reaches. */
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { CommandError } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { clusterStatus, statusJson, statusText } from '../../cli/present/cluster-status.ts';

export class ClusterStatusCommand extends ClientCommand {
  static override summary = 'Show the managers: who leads, who lags, who does not answer';
  static override description =
    'Needs no leader: the manager at the socket tells what it knows and what the others tell it. ' +
    'The exit code is 1 when nothing can be decided.';

  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(ClusterStatusCommand);
    await withCluster(flags.socket, async ({ operations }) => {
      const status = clusterStatus(await operations.Status({ withPeers: true }));
      if (flags.format === 'json') this.print(JSON.stringify(statusJson(status)));
      else this.terminal.out(statusText(status, this.terminal.columns));
      // It is in the JSON already.
      const problem = flags.format === 'json' ? '' : (status.problem ?? '');
      if (!status.works) throw new CommandError(problem);
      if (problem !== '') this.terminal.err(`Warning: ${problem}\n`);
    });
  }
}
