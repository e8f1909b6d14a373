/** `skein service inspect`. */
import { Flags } from '@oclif/core';
import { argument } from '../../cli/arguments.ts';
import { Service } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, inspectFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { findService } from '../../cli/lookup.ts';

export class ServiceInspectCommand extends ClientCommand {
  static override summary = 'Show all there is to know about a service';
  static override args = { service: argument('name or id') };
  static override flags = {
    ...inspectFlags,
    defaults: Flags.boolean({ description: 'with every default written out' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ServiceInspectCommand);
    await withCluster(flags.socket, async ({ control }) => {
      const { id: serviceId } = await findService(control, args.service);
      const insertDefaults = flags.defaults;
      const { service } = await control.GetService({ serviceId, insertDefaults });
      await this.show(flags, Service, service ?? Service.create());
    });
  }
}
