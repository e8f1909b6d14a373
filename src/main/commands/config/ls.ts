/** `skein config ls`. */
import type { Control } from '../../cli/connection.ts';
import type { nameFilters } from '../../cli/filters.ts';
import { PayloadLsCommand } from '../../cli/payload-command.ts';
import type { Config } from '../../../shared/wire/gen/objects.ts';

export class ConfigLsCommand extends PayloadLsCommand {
  static override summary = 'List configs';

  protected override async objects(
    control: Control,
    filters: ReturnType<typeof nameFilters>,
  ): Promise<readonly Config[]> {
    return (await control.ListConfigs({ filters })).configs;
  }
}
