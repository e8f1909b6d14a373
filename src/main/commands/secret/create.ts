/** `skein secret create`. */
import { type NewPayload, PayloadCreateCommand } from '../../cli/payload-command.ts';
import type { Control } from '../../cli/connection.ts';

export class SecretCreateCommand extends PayloadCreateCommand {
  static override summary = 'Create a secret from a file or from standard input';
  static override examples = ['<%= config.bin %> <%= command.id %> key ./key.txt'];

  protected override async create(control: Control, spec: NewPayload): Promise<string> {
    return (await control.CreateSecret({ spec })).secret?.id ?? '';
  }
}
