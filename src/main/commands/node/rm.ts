/** `skein node rm`. */
import { Flags } from '@oclif/core';
import { RemovalCommand } from '../../cli/removal-command.ts';
import { findNode } from '../../cli/lookup.ts';
import type { Control } from '../../cli/connection.ts';

export class NodeRmCommand extends RemovalCommand {
  static override summary = 'Remove nodes that are down';
  static override usage = 'node rm [FLAGS] NODE...';
  static override flags = {
    force: Flags.boolean({ description: 'even if it is not down' }),
  };
  protected override readonly kind = 'node';

  protected override async remove(
    control: Control,
    reference: string,
    force: boolean,
  ): Promise<void> {
    const { id } = await findNode(control, reference);
    await control.RemoveNode({ nodeId: id, force });
  }
}
