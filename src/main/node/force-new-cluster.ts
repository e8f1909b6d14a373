/**
 * `--force-new-cluster`: when the others are lost for good, their last manager goes on alone, with the
 * cluster's id and root, all nodes and all objects (behaviour rule 3.11).
 *
 * A second cluster of the same nodes would be worse than none, so it is refused while the first one can
 * still be had, and where a flag that was only left on the command line would split it.
 */
import type { ManagerReport } from '../../shared/wire/gen/operations.ts';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import type { Headers, KeyFiles } from '../ca/key-files.ts';
import type { Log } from '../log.ts';
import type { LmdbLog } from '../raft/log/lmdb-log.ts';
import { type GroupInLog, soleMember, type SoleMember } from '../raft/log/sole-member.ts';

/** Set while the manager was started last with the flag. */
const FORCED = 'skein-forced';

const isForced = (headers: Headers): boolean => headers[FORCED] === 'true';

function forcedHeaders(headers: Headers): Headers {
  return { ...headers, [FORCED]: 'true' };
}

function unforcedHeaders(headers: Headers): Headers {
  const { [FORCED]: _, ...others } = headers;
  return others;
}

/** The cluster cannot or must not be made one of this manager alone. */
export class ForceRefusedError extends Error {
  override readonly name = 'ForceRefusedError';

  constructor(why: string) {
    super(`--force-new-cluster: ${why}`);
  }
}

export type ForceOptions = {
  /** Open, and of a manager that does not run. */
  readonly raftLog: LmdbLog;
  readonly keys: Pick<KeyFiles, 'load' | 'updateHeaders'>;
  readonly nodeId: string;
  readonly clusterId: string;
  /** Where this manager is reached from now on; empty when only its listener will tell. */
  readonly address: string;
  /** What the managers at these addresses tell, those of them that answer. */
  readonly askStatus: (addresses: readonly string[]) => Promise<readonly ManagerReport[]>;
  readonly log: Log;
};

/**
 * Makes the group in the log one of this manager alone. Doing it again is harmless: a crash on the way
 * leaves the log as it was, or done.
 * @throws ForceRefusedError
 */
export async function forceNewCluster(options: ForceOptions): Promise<void> {
  const { raftLog, keys, nodeId, log } = options;
  const member = raftLog.member();
  if (member === undefined || raftLog.lastIndex() === 0) {
    throw new ForceRefusedError('this manager has got nothing of the cluster yet');
  }
  const self = RaftMember.create({ ...member, nodeId, addr: options.address || member.addr });
  const { group, persist } = alone(raftLog, self);
  if (group.removed.has(member.raftId)) {
    throw new ForceRefusedError(
      'this manager was removed from the cluster before, and what it has may be old: restore a backup',
    );
  }
  const others = [...group.members.keys()].filter((raftId) => raftId !== member.raftId);
  if (others.length > 0) await assertLost(options, member.raftId, group);
  // Writes of one turn are one transaction: where the others were reached goes with them.
  if (persist !== null) await Promise.all([raftLog.save(persist), raftLog.saveMember(self)]);
  await keys.updateHeaders(forcedHeaders);
  log.warn({ removed: others.length }, 'this manager goes on as a cluster of its own');
}

/** The manager starts without the flag: the next time it is given, it is meant. */
export async function forgetForce(keys: Pick<KeyFiles, 'load' | 'updateHeaders'>): Promise<void> {
  const stored = await keys.load();
  if (stored !== undefined && isForced(stored.headers)) await keys.updateHeaders(unforcedHeaders);
}

function alone(raftLog: LmdbLog, self: RaftMember): SoleMember {
  using snapshot = raftLog.readSnapshot();
  return soleMember(raftLog, snapshot?.meta, self);
}

async function assertLost(
  { keys, clusterId, askStatus }: ForceOptions,
  own: bigint,
  { members }: GroupInLog,
): Promise<void> {
  if (isForced((await keys.load())?.headers ?? {})) {
    throw new ForceRefusedError(
      'it was done when this manager started last, and others have joined since. Start it without the ' +
        'flag; if the others are lost again, start it with the flag after that',
    );
  }
  const addresses = [...members.values()].flatMap((member) =>
    member === undefined || member.raftId === own ? [] : [member.addr],
  );
  const reports = (await askStatus(addresses)).filter(
    (report) => report.clusterId === clusterId && members.has(report.raftId),
  );
  const led = reports.find(({ leader }) => leader !== 0n && leader !== own);
  const needed = Math.floor(members.size / 2) + 1;
  if (led === undefined && reports.length + 1 < needed) return;
  const running = reports.map(({ hostname, addr }) => `${hostname} at ${addr}`).join(', ');
  throw new ForceRefusedError(
    `the cluster is not lost: ${running} of its managers ${reports.length === 1 ? 'runs' : 'run'}. ` +
      'Start this one without the flag, or stop them first if they are not to be part of the cluster',
  );
}
