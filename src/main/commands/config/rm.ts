/** `skein config rm`. */
import { RemovalCommand } from '../../cli/removal-command.ts';
import { findConfig } from '../../cli/lookup.ts';
import type { Control } from '../../cli/connection.ts';

export class ConfigRmCommand extends RemovalCommand {
  static override summary = 'Remove configs that no service uses';
  static override usage = 'config rm [FLAGS] CONFIG...';
  protected override readonly kind = 'config';

  protected override async remove(control: Control, reference: string): Promise<void> {
    const { id } = await findConfig(control, reference);
    await control.RemoveConfig({ configId: id });
  }
}
