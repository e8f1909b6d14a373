/** `skein network create`. */
import { Flags } from '@oclif/core';
import { argument } from '../../cli/arguments.ts';
import { NetworkSpec } from '../../../shared/wire/gen/specs.ts';
import { ClientCommand } from '../../cli/client-command.ts';
import { CommandError, ExitCode } from '../../cli/command-error.ts';
import { withCluster } from '../../cli/connection.ts';
import { flagMap } from '../../cli/flag-map.ts';

const many = (description: string, char?: 'o' | 'l') =>
  Flags.string({
    description,
    multiple: true,
    multipleNonGreedy: true,
    default: [],
    ...(char === undefined ? {} : { char }),
  });

export class NetworkCreateCommand extends ClientCommand {
  static override summary = 'Create a network';
  static override examples = ['<%= config.bin %> <%= command.id %> --subnet 10.9.0.0/24 front'];
  static override args = { name: argument('name') };
  static override flags = {
    driver: Flags.string({ char: 'd', description: 'network driver', default: 'overlay' }),
    opt: many('option of the driver', 'o'),
    label: many('label', 'l'),
    subnet: many('subnet, as 10.9.0.0/24; the cluster chooses one when none is given'),
    gateway: many('gateway of the subnet in the same place'),
    'ip-range': many('part of the subnet that tasks get addresses from'),
    'ipam-driver': Flags.string({ description: 'address driver', default: 'default' }),
    internal: Flags.boolean({ description: 'no way out of it' }),
    attachable: Flags.boolean({ description: 'single containers may join it' }),
    ingress: Flags.boolean({ description: 'the network of published ports' }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(NetworkCreateCommand);
    const { subnet, gateway, 'ip-range': range } = flags;
    if (Math.max(gateway.length, range.length) > subnet.length) {
      throw new CommandError('every --gateway and --ip-range needs its --subnet', ExitCode.USAGE);
    }
    const configs = subnet.map((each, at) => ({
      subnet: each,
      gateway: gateway[at] ?? '',
      range: range[at] ?? '',
    }));
    const spec = NetworkSpec.create({
      annotations: { name: args.name, labels: flagMap('label', flags.label) },
      driverConfig: { name: flags.driver, options: flagMap('opt', flags.opt) },
      internal: flags.internal,
      attachable: flags.attachable,
      ingress: flags.ingress,
      ipam: configs.length === 0 ? undefined : { driver: { name: flags['ipam-driver'] }, configs },
    });
    await withCluster(flags.socket, async ({ control }) => {
      const { network } = await control.CreateNetwork({ spec });
      this.print(network?.id ?? '');
    });
  }
}
