/** `skein cluster inspect`. */
import { Cluster } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { theCluster } from '../../cli/lookup.ts';

export class ClusterInspectCommand extends ClientCommand {
  static override summary = 'Show the settings of the cluster';
  static override description = 'The join tokens are among them; keys never are.';
  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(ClusterInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      await this.show(flags, Cluster, await theCluster(control));
    });
  }
}
