/** `skein config inspect`. */
import { argument } from '../../cli/arguments.ts';
import { Config } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { findConfig } from '../../cli/lookup.ts';

export class ConfigInspectCommand extends ClientCommand {
  static override summary = 'Show a config';
  static override args = { config: argument('name or id') };
  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ConfigInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      await this.show(flags, Config, await findConfig(control, args.config));
    });
  }
}
