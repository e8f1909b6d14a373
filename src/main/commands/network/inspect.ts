/** `skein network inspect`. */
import { Args } from '@oclif/core';
import { Network } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { findNetwork } from '../../cli/lookup.ts';

export class NetworkInspectCommand extends ClientCommand {
  static override summary = 'Show all there is to know about a network';
  static override args = { network: Args.string({ description: 'name or id', required: true }) };
  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(NetworkInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      await this.show(flags, Network, await findNetwork(control, args.network));
    });
  }
}
