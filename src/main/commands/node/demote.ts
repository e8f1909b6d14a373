/** `skein node demote`. */
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import { RoleCommand } from '../../cli/role-command.ts';

export class NodeDemoteCommand extends RoleCommand {
  static override summary = 'Make managers workers';
  static override description =
    'Waits until they take no part in decisions any more, or says what stands in the way. Their tasks ' +
    'run on. The last manager stays, and so does one without which the quorum would be lost.';
  static override usage = 'node demote [FLAGS] NODE...';
  static override examples = ['<%= config.bin %> <%= command.id %> manager-2'];
  protected override readonly role = NodeRole.WORKER;
}
