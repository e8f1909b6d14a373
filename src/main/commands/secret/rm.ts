/** `skein secret rm`. */
import { RemovalCommand } from '../../cli/removal-command.ts';
import { findSecret } from '../../cli/lookup.ts';
import type { Control } from '../../cli/connection.ts';

export class SecretRmCommand extends RemovalCommand {
  static override summary = 'Remove secrets that no service uses';
  static override usage = 'secret rm [FLAGS] SECRET...';
  protected override readonly kind = 'secret';

  protected override async remove(control: Control, reference: string): Promise<void> {
    const { id } = await findSecret(control, reference);
    await control.RemoveSecret({ secretId: id });
  }
}
