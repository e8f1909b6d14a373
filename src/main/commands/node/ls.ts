/** `skein node ls`. */
import { NodeRole } from '../../../shared/wire/gen/types.ts';
import { NodeSpecMembership } from '../../../shared/wire/gen/specs.ts';
import { ClientCommand, listFlags } from '../../cli/client-command.ts';
import { withCluster } from '../../cli/connection.ts';
import { enumFilter, filtersOf, labelFilter, nameFilters } from '../../cli/filters.ts';
import { nodeColumns, nodeJson, nodesInOrder } from '../../cli/present/nodes.ts';

const ROLES = { worker: NodeRole.WORKER, manager: NodeRole.MANAGER } as const;
const MEMBERSHIPS = {
  pending: NodeSpecMembership.PENDING,
  accepted: NodeSpecMembership.ACCEPTED,
} as const;
const KEYS = ['id', 'name', 'label', 'node.label', 'engine.label', 'role', 'membership'];

export class NodeLsCommand extends ClientCommand {
  static override summary = 'List nodes';
  static override description = `Filters: ${KEYS.join(', ')}. "label" means node.label.`;
  static override flags = listFlags;

  async run(): Promise<void> {
    const { flags } = await this.parse(NodeLsCommand);
    const words = filtersOf(flags.filter, KEYS);
    const filters = {
      ...nameFilters(words),
      labels: labelFilter(words, 'engine.label'),
      nodeLabels: { ...labelFilter(words, 'label'), ...labelFilter(words, 'node.label') },
      roles: enumFilter(words, 'role', ROLES),
      memberships: enumFilter(words, 'membership', MEMBERSHIPS),
    };
    await withCluster(flags.socket, async ({ control }) => {
      const { nodes } = await control.ListNodes({ filters });
      const rows = nodesInOrder(nodes);
      this.list(flags, { rows, id: (node) => node.id, columns: nodeColumns, json: nodeJson });
    });
  }
}
