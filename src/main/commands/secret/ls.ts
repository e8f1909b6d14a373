/** `skein secret ls`. */
import type { Control } from '../../cli/connection.ts';
import type { nameFilters } from '../../cli/filters.ts';
import { PayloadLsCommand } from '../../cli/payload-command.ts';
import type { Secret } from '../../../shared/wire/gen/objects.ts';

export class SecretLsCommand extends PayloadLsCommand {
  static override summary = 'List secrets';

  protected override async objects(
    control: Control,
    filters: ReturnType<typeof nameFilters>,
  ): Promise<readonly Secret[]> {
    return (await control.ListSecrets({ filters })).secrets;
  }
}
