/** `skein secret inspect`. */
import { argument } from '../../cli/arguments.ts';
import { Secret } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { findSecret } from '../../cli/lookup.ts';

export class SecretInspectCommand extends ClientCommand {
  static override summary = 'Show a secret; its data is never shown';
  static override args = { secret: argument('name or id') };
  static override flags = inspectFlags;

  async run(): Promise<void> {
    const { args, flags } = await this.parse(SecretInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      await this.show(flags, Secret, await findSecret(control, args.secret));
    });
  }
}
