/** `skein service rm`. */
import { RemovalCommand } from '../../cli/removal-command.ts';
import { findService } from '../../cli/lookup.ts';
import type { Control } from '../../cli/connection.ts';

export class ServiceRmCommand extends RemovalCommand {
  static override summary = 'Remove services; their tasks end';
  static override usage = 'service rm [FLAGS] SERVICE...';
  protected override readonly kind = 'service';

  protected override async remove(control: Control, reference: string): Promise<void> {
    const { id } = await findService(control, reference);
    await control.RemoveService({ serviceId: id });
  }
}
