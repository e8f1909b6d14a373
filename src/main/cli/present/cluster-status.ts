/** What one manager and its peers tell, as `skein cluster status` shows it. */
import type {
  ManagerReport,
  PeerReport,
  StatusResponse,
} from '../../../shared/wire/gen/operations.ts';
import { bytesText } from '../syntax/quantities.ts';
import type { Json } from './message-json.ts';
import { type Column, tableOf } from './table.ts';

/** A member of the group, with what is known of it. */
type MemberRow = {
  readonly raftId: bigint;
  readonly nodeId: string;
  readonly name: string;
  readonly address: string;
  /** Absent when it did not answer. */
  readonly report: ManagerReport | undefined;
  /** Why it did not answer. */
  readonly error: string;
  readonly leads: boolean;
  /** Entries of the leader's log that it lacks. */
  readonly lag: number | undefined;
};

export type ClusterStatus = {
  readonly clusterId: string;
  /** The newest term that anybody knows. */
  readonly term: number;
  readonly members: readonly MemberRow[];
  readonly leader: MemberRow | undefined;
  /** Members that must answer for anything to be decided. */
  readonly needed: number;
  readonly answering: number;
  /** What is wrong and what to do. */
  readonly problem: string | undefined;
  /** Whether anything can be decided. */
  readonly works: boolean;
};

const SHORT_ID = 12;
const nameOf = (hostname: string, nodeId: string): string =>
  hostname === '' ? nodeId.slice(0, SHORT_ID) : hostname;

type Known = Omit<MemberRow, 'leads' | 'lag'>;

function ownRow(own: ManagerReport): Known {
  const { raftId, nodeId, hostname, addr } = own;
  return { raftId, nodeId, name: nameOf(hostname, nodeId), address: addr, report: own, error: '' };
}

function peerRow({ member, manager, error, hostname }: PeerReport): Known {
  const { raftId, nodeId, addr } = member;
  const known = { raftId, nodeId, name: nameOf(hostname, nodeId), address: addr };
  if (manager === undefined || manager.raftId === raftId) {
    return { ...known, report: manager, error };
  }
  const other = manager.raftId === 0n ? 'a manager that joins' : 'another manager';
  return { ...known, report: undefined, error: `${addr} is ${other} now` };
}

/** Who says so itself, in the newest term. */
function leaderOf(rows: readonly Known[]): ManagerReport | undefined {
  return rows
    .flatMap(({ report }) => (report === undefined ? [] : [report]))
    .filter(({ raftId, leader }) => leader === raftId && raftId !== 0n)
    .reduce<ManagerReport | undefined>(
      (best, next) => (best === undefined || next.term > best.term ? next : best),
      undefined,
    );
}

export function clusterStatus({ manager: own, peers }: StatusResponse): ClusterStatus {
  const known = own.raftId === 0n ? peers.map(peerRow) : [ownRow(own), ...peers.map(peerRow)];
  const leading = leaderOf(known);
  const members = known
    .map((row) => ({
      ...row,
      leads: leading !== undefined && row.raftId === leading.raftId,
      lag: leading && row.report && Math.max(0, leading.lastIndex - row.report.lastIndex),
    }))
    .toSorted((a, b) => a.name.localeCompare(b.name) || a.address.localeCompare(b.address));
  const status = {
    clusterId: own.clusterId,
    term: Math.max(own.term, ...known.map(({ report }) => report?.term ?? 0)),
    members,
    leader: members.find(({ leads }) => leads),
    needed: Math.floor(members.length / 2) + 1,
    answering: members.filter(({ report }) => report !== undefined).length,
  };
  const stopped = whyStopped(status, own);
  return { ...status, works: stopped === undefined, problem: stopped ?? warning(status) };
}

type Counted = Pick<ClusterStatus, 'members' | 'leader' | 'needed' | 'answering'>;

/** Why nothing can be decided, or not by this manager. */
function whyStopped(status: Counted, own: ManagerReport): string | undefined {
  const { members, leader, needed, answering } = status;
  if (own.raftId === 0n) {
    return 'This manager is not a member yet: it waits for the others to let it in.';
  }
  if (members.some(({ report }) => report?.removedMembers.includes(own.raftId))) {
    return 'This manager was removed from the cluster: it decides nothing any more.';
  }
  if (answering < needed) return lostQuorum(status);
  if (leader !== undefined) return undefined;
  return 'Nobody leads: an election is under way. Ask again in a few seconds.';
}

function warning({ members, needed, answering }: Counted): string | undefined {
  if (answering === members.length) return undefined;
  const more = answering === needed ? 'no more may fail' : `${answering - needed} more may fail`;
  return `${members.length - answering} of ${members.length} managers do not answer; ${more}.`;
}

function lostQuorum({ members, needed, answering }: Counted): string {
  const missing = members.filter(({ report }) => report === undefined);
  const short = needed - answering;
  const who = short === missing.length ? 'them' : `${short} of them`;
  return [
    `No quorum: ${answering} of ${members.length} managers ${answering === 1 ? 'answers' : 'answer'}, ` +
      `${needed} are needed. Tasks go on as they are, and nothing can be changed.`,
    `Missing: ${missing.map(({ name, error }) => `${name} (${error})`).join(', ')}.`,
    `Start ${who} again. If they are lost for good, stop this manager and start it with ` +
      '--force-new-cluster: it then is a cluster of one, with everything that it knows.',
  ].join('\n');
}

function stateWord({ report, leads }: MemberRow): string {
  if (report === undefined) return 'unreachable';
  if (leads) return 'leader';
  return report.leader === 0n ? 'without leader' : 'follower';
}

const count = (value: number | undefined): string => (value === undefined ? '-' : String(value));

const columns: readonly Column<MemberRow>[] = [
  { title: 'manager', cell: ({ name }) => name },
  { title: 'address', cell: ({ address }) => address },
  { title: 'state', cell: stateWord },
  { title: 'term', cell: ({ report }) => count(report?.term) },
  { title: 'commit', cell: ({ report }) => count(report?.commitIndex) },
  { title: 'applied', cell: ({ report }) => count(report?.appliedIndex) },
  { title: 'last', cell: ({ report }) => count(report?.lastIndex) },
  { title: 'lag', cell: ({ lag }) => count(lag) },
  { title: 'log', cell: ({ report }) => (report ? bytesText(report.logBytes) : '-') },
  { title: 'snapshot', cell: ({ report }) => snapshotText(report) },
  { title: 'problem', wraps: true, cell: ({ error }) => error },
];

function snapshotText(report: ManagerReport | undefined): string {
  if (report === undefined) return '-';
  const { snapshotIndex, snapshotBytes } = report;
  return snapshotIndex === 0 ? 'none' : `${snapshotIndex} (${bytesText(snapshotBytes)})`;
}

/** For people, without the problems. `width` is that of the terminal, if there is one. */
export function statusText(status: ClusterStatus, width: number | undefined): string {
  const { clusterId, term, leader, members } = status;
  const led = leader === undefined ? 'no leader' : `led by ${leader.name} at ${leader.address}`;
  return `Cluster ${clusterId}, term ${term}, ${led}\n\n${tableOf(members, columns, width)}`;
}

const hex = (raftId: bigint): string => raftId.toString(16);

function memberJson(row: MemberRow): Json {
  const { raftId, nodeId, name, address, report, error, leads, lag } = row;
  return {
    id: nodeId,
    raftId: hex(raftId),
    hostname: name,
    address,
    leader: leads,
    reachable: report !== undefined,
    problem: error === '' ? null : error,
    term: report?.term ?? null,
    commitIndex: report?.commitIndex ?? null,
    appliedIndex: report?.appliedIndex ?? null,
    firstIndex: report?.firstIndex ?? null,
    lastIndex: report?.lastIndex ?? null,
    lag: lag ?? null,
    logBytes: report?.logBytes ?? null,
    snapshotIndex: report?.snapshotIndex ?? null,
    snapshotBytes: report?.snapshotBytes ?? null,
  };
}

export function statusJson(status: ClusterStatus): Json {
  const { clusterId, term, leader, needed, answering, members, problem } = status;
  return {
    clusterId,
    term,
    leader: leader === undefined ? null : { id: leader.nodeId, address: leader.address },
    quorum: answering >= needed,
    needed,
    answering,
    problem: problem ?? null,
    members: members.map(memberJson),
  };
}
