/** Nodes as lists show them. */
import type { Node } from '../../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability } from '../../../shared/wire/gen/specs.ts';
import {
  NodeRole,
  NodeStatusState,
  RaftMemberStatusReachability,
} from '../../../shared/wire/gen/types.ts';
import { type Json, wordFor } from './message-json.ts';
import type { Column } from './table.ts';

export const statusWord = ({ status }: Node): string => wordFor(NodeStatusState, status.state);
export const availabilityWord = ({ spec }: Node): string =>
  wordFor(NodeSpecAvailability, spec.availability);

/** By host name. */
export function nodesInOrder(nodes: readonly Node[]): readonly Node[] {
  return nodes.toSorted((a, b) =>
    (a.description?.hostname ?? '').localeCompare(b.description?.hostname ?? ''),
  );
}

function managerWord({ managerStatus, role }: Node): string {
  if (managerStatus === undefined) return role === NodeRole.MANAGER ? 'unknown' : '';
  if (managerStatus.leader) return 'leader';
  return wordFor(RaftMemberStatusReachability, managerStatus.reachability);
}

export const nodeColumns = (short: (id: string) => string): readonly Column<Node>[] => [
  { title: 'id', cell: (node) => short(node.id) },
  { title: 'hostname', cell: (node) => node.description?.hostname ?? '' },
  { title: 'status', cell: statusWord },
  { title: 'availability', cell: availabilityWord },
  { title: 'manager', cell: managerWord },
  { title: 'engine', cell: (node) => node.description?.engine?.engineVersion ?? '' },
  { title: 'message', wraps: true, cell: (node) => node.status.message },
];

export function nodeJson(node: Node): Json {
  const { description, managerStatus } = node;
  const resources = description?.resources;
  return {
    id: node.id,
    hostname: description?.hostname ?? null,
    role: wordFor(NodeRole, node.role),
    desiredRole: wordFor(NodeRole, node.spec.desiredRole),
    status: statusWord(node),
    message: node.status.message,
    address: node.status.addr,
    availability: availabilityWord(node),
    leader: managerStatus?.leader ?? false,
    reachability:
      managerStatus === undefined
        ? null
        : wordFor(RaftMemberStatusReachability, managerStatus.reachability),
    managerAddress: managerStatus?.addr ?? null,
    cpus: resources === undefined ? null : resources.nanoCpus / 1e9,
    memoryBytes: resources?.memoryBytes ?? null,
    platform: description?.platform ?? null,
    engineVersion: description?.engine?.engineVersion ?? null,
    engineLabels: description?.engine?.labels ?? {},
    labels: node.spec.annotations.labels,
  };
}
