/** `skein node promote`. */
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import { RoleCommand } from '../../cli/role-command.ts';

export class NodePromoteCommand extends RoleCommand {
  static override summary = 'Make workers managers';
  static override description =
    'Waits until the other managers reach them, or says what they wait for. A node listens as manager ' +
    'where the --listen-remote-api of its own command line says.';
  static override usage = 'node promote [FLAGS] NODE...';
  static override examples = ['<%= config.bin %> <%= command.id %> worker-1 worker-2'];
  protected override readonly role = NodeRole.MANAGER;
}
