/** `skein network inspect`. */
import { argument } from '../../cli/arguments.ts';
import { Network } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { findNetwork } from '../../cli/lookup.ts';

export class NetworkInspectCommand extends ClientCommand {
  static override summary = 'Show all there is to know about a network';
  static override args = { network: argument('name or id') };
  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(NetworkInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      await this.show(flags, Network, await findNetwork(control, args.network));
    });
  }
}
