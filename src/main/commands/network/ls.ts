/** `skein network ls`. */
import type { Network } from '../../../shared/wire/gen/objects.ts';
import { ClientCommand, listFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { filtersOf, nameFilters } from '../../cli/filters.ts';
import { type Json, timeText } from '../../cli/present/message-json.ts';

const driverOf = ({ driverState, spec }: Network): string =>
  driverState?.name || (spec.driverConfig?.name ?? '');
const subnetsOf = ({ ipam, spec }: Network): readonly string[] =>
  (ipam ?? spec.ipam)?.configs.map(({ subnet }) => subnet) ?? [];

function networkJson(network: Network): Json {
  const { id, spec, meta } = network;
  return {
    id,
    name: spec.annotations.name,
    driver: driverOf(network),
    subnets: subnetsOf(network),
    internal: spec.internal,
    attachable: spec.attachable,
    ingress: spec.ingress,
    labels: spec.annotations.labels,
    createdAt: meta.createdAt === undefined ? null : timeText(meta.createdAt),
  };
}

export class NetworkLsCommand extends ClientCommand {
  static override summary = 'List networks';
  static override description = 'Filters: id, name, label, driver.';
  static override flags = listFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(NetworkLsCommand);
    const filters = filtersOf(flags.filter, ['id', 'name', 'label', 'driver']);
    const drivers = filters.get('driver');
    await withCluster(flags.socket, async ({ control }) => {
      const { networks } = await control.ListNetworks({ filters: nameFilters(filters) });
      this.list(flags, {
        rows: networks
          .filter((network) => drivers?.includes(driverOf(network)) ?? true)
          .toSorted((a, b) => a.spec.annotations.name.localeCompare(b.spec.annotations.name)),
        id: ({ id }) => id,
        columns: (short) => [
          { title: 'id', cell: ({ id }) => short(id) },
          { title: 'name', cell: ({ spec }) => spec.annotations.name },
          { title: 'driver', cell: driverOf },
          { title: 'subnet', cell: (network) => subnetsOf(network).join(', ') },
        ],
        json: networkJson,
      });
    });
  }
}
