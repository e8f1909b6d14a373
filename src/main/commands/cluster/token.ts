/** `skein cluster token`: what a new node needs to join. */
import { Args, Flags } from '@oclif/core';
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import { ClientCommand } from '../../cli/client-command.ts';
import { type Control, withCluster } from '../../cli/connection.ts';
import { theCluster } from '../../cli/lookup.ts';

/** Where a manager of the cluster is reached; the leader's address when it is known. */
export async function managerAddress(control: Control): Promise<string> {
  const { nodes } = await control.ListNodes({ filters: { roles: [NodeRole.MANAGER] } });
  const leader = nodes.find(({ managerStatus }) => managerStatus?.leader === true) ?? nodes[0];
  return leader?.managerStatus?.addr ?? 'MANAGER:2377';
}

export class ClusterTokenCommand extends ClientCommand {
  static override summary = 'Print a join token and the command that uses it';
  static override description =
    'Whoever has the token can add nodes of that role; --rotate makes a new one, and the old one void.';

  static override examples = ['<%= config.bin %> <%= command.id %> worker'];
  static override args = {
    role: Args.string({
      description: 'role',
      required: true,
      ignoreStdin: true,
      options: ['worker', 'manager'],
    }),
  };
  static override flags = {
    rotate: Flags.boolean({ description: 'make a new token first' }),
    quiet: Flags.boolean({ char: 'q', description: 'only the token' }),
    format: Flags.string({
      description: 'table or json',
      options: ['table', 'json'],
      default: 'table',
    }),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(ClusterTokenCommand);
    const role = args.role === 'manager' ? 'manager' : 'worker';
    await withCluster(flags.socket, async ({ control }) => {
      let cluster = await theCluster(control);
      if (flags.rotate) {
        const rotation = {
          workerJoinToken: role === 'worker',
          managerJoinToken: role === 'manager',
        };
        const { id, spec, meta } = cluster;
        await control.UpdateCluster({
          clusterId: id,
          clusterVersion: meta.version,
          spec,
          rotation,
        });
        cluster = await theCluster(control);
      }
      const token = cluster.rootCa.joinTokens[role];
      const address = await managerAddress(control);
      if (flags.format === 'json') this.print(JSON.stringify({ role, token, address }));
      else if (flags.quiet) this.print(token);
      else this.terminal.out(help(role, token, address));
    });
  }
}

const help = (role: 'worker' | 'manager', token: string, address: string): string =>
  `${token}

To add a ${role} to this cluster, run there:

    skein ${role} --join-addr ${address} --join-token ${token}
${
  role === 'worker'
    ? `
or, for a Docker Engine:

    docker swarm join --token ${token} ${address}
`
    : ''
}`;
