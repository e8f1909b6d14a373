/** `skein config create`. */
import { type NewPayload, PayloadCreateCommand } from '../../cli/payload-command.ts';
import type { Control } from '../../cli/connection.ts';

export class ConfigCreateCommand extends PayloadCreateCommand {
  static override summary = 'Create a config from a file or from standard input';
  static override examples = ['<%= config.bin %> <%= command.id %> key ./key.txt'];

  protected override async create(control: Control, spec: NewPayload): Promise<string> {
    return (await control.CreateConfig({ spec })).config?.id ?? '';
  }
}
