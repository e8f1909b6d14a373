/** `skein service ls`. */
import { ClientCommand, listFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { filtersOf, nameFilters } from '../../cli/filters.ts';
import { modeWord, serviceColumns, serviceJson } from '../../cli/present/services.ts';

export class ServiceLsCommand extends ClientCommand {
  static override summary = 'List services';
  static override description = 'Filters: id, name, label, mode.';
  static override flags = listFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(ServiceLsCommand);
    const filters = filtersOf(flags.filter, ['id', 'name', 'label', 'mode']);
    const modes = filters.get('mode');
    await withCluster(flags.socket, async ({ control }) => {
      const { services } = await control.ListServices({ filters: nameFilters(filters) });
      const shown = services.filter((service) => modes?.includes(modeWord(service)) ?? true);
      const ids = shown.map(({ id }) => id);
      const { statuses } = await control.ListServiceStatuses({ services: ids });
      const byId = new Map(statuses.map((status) => [status.serviceId, status]));
      const rows = shown
        .map((service) => ({ service, status: byId.get(service.id) }))
        .toSorted((a, b) =>
          a.service.spec.annotations.name.localeCompare(b.service.spec.annotations.name),
        );
      this.list(flags, {
        rows,
        id: ({ service }) => service.id,
        columns: serviceColumns,
        json: serviceJson,
      });
    });
  }
}
