/** `skein node inspect`. */
import { argument } from '../../cli/arguments.ts';
import { Node } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { findNode } from '../../cli/lookup.ts';

export class NodeInspectCommand extends ClientCommand {
  static override summary = 'Show all there is to know about a node';
  static override args = { node: argument('host name or id') };
  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(NodeInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      await this.show(flags, Node, await findNode(control, args.node));
    });
  }
}
