/** `skein node update`: what a node may be asked to do, and its labels. */
import { Flags } from '@oclif/core';
import { argument } from '../../cli/arguments.ts';
import { deepEqual } from '../../../shared/kit/deep-equal.ts';
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import { ClientCommand } from '../../cli/client-command.ts';
import { CommandError } from '../../cli/command-error.ts';
import { flagMap } from '../../cli/flag-map.ts';
import { withCluster } from '../../cli/connection.ts';
import { findNode } from '../../cli/lookup.ts';
import { availabilityOf } from '../../cli/node-flags.ts';

const many = (description: string) =>
  Flags.string({ description, multiple: true, multipleNonGreedy: true });

export class NodeUpdateCommand extends ClientCommand {
  static override summary = 'Change a node';
  static override examples = [
    '<%= config.bin %> <%= command.id %> --availability drain worker-1',
    '<%= config.bin %> <%= command.id %> --label-add zone=north worker-1',
  ];

  static override args = { node: argument('host name or id') };
  static override flags = {
    availability: Flags.string({
      description: 'active takes tasks, pause takes no new ones, drain gives its own away',
      options: ['active', 'pause', 'drain'],
    }),
    role: Flags.string({ description: 'what it should be', options: ['worker', 'manager'] }),
    'label-add': many('label, as zone=north'),
    'label-rm': many('name of a label'),
  };

  async run(): Promise<void> {
    const { args, flags } = await this.parse(NodeUpdateCommand);
    const added = flagMap('label-add', flags['label-add'] ?? []);
    await withCluster(flags.socket, async ({ control }) => {
      const { id, spec, meta } = await findNode(control, args.node);
      const kept = Object.entries(spec.annotations.labels).filter(
        ([key]) => flags['label-rm']?.includes(key) !== true,
      );
      const wanted = {
        ...spec,
        annotations: { ...spec.annotations, labels: { ...Object.fromEntries(kept), ...added } },
        availability:
          flags.availability === undefined ? spec.availability : availabilityOf(flags.availability),
        desiredRole: roleOf(flags.role) ?? spec.desiredRole,
      };
      if (deepEqual(wanted, spec)) throw new CommandError(`No change for node ${args.node}`);
      await control.UpdateNode({ nodeId: id, nodeVersion: meta.version, spec: wanted });
      this.print(id);
    });
  }
}

function roleOf(word: string | undefined): NodeRole | undefined {
  if (word === undefined) return undefined;
  return word === 'manager' ? NodeRole.MANAGER : NodeRole.WORKER;
}
