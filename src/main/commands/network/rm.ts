/** `skein network rm`. */
import { RemovalCommand } from '../../cli/removal-command.ts';
import { findNetwork } from '../../cli/lookup.ts';
import type { Control } from '../../cli/connection.ts';

export class NetworkRmCommand extends RemovalCommand {
  static override summary = 'Remove networks that no service uses';
  static override usage = 'network rm [FLAGS] NETWORK...';
  protected override readonly kind = 'network';

  protected override async remove(control: Control, reference: string): Promise<void> {
    const { id } = await findNetwork(control, reference);
    await control.RemoveNetwork({ networkId: id });
  }
}
