/**
 * Makes the state directory of a manager from a backup: a cluster of one, with the identity, root and
 * objects of the one that was lost, and a manager of its own.
 *
 * The directory is built beside its place and renamed into it, so there is never half of one.
 */
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Env } from '../../shared/kit/env.ts';
import { durationMs } from '../../shared/model/time.ts';
import { Cluster } from '../../shared/wire/gen/objects.ts';
import type { BackupHeader } from '../../shared/wire/gen/operations.ts';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { Entry } from '../../shared/wire/gen/raftpb.ts';
import type { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { WireError } from '../../shared/wire/runtime.ts';
import { certificateRequest, newKey } from '../ca/certificates.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { RootCa } from '../ca/root.ts';
import { type NodeIdentity, readIdentity } from '../ca/security-context.ts';
import { syncDirectory } from '../kit/directories.ts';
import { newNode } from '../manager/founding.ts';
import { dataKeysOf, foundedHeaders, newDataKeyHeaders, openRaftLog } from '../node/data-key.ts';
import { toConfState } from '../raft/core/configuration.ts';
import { newRaftId } from '../raft/raft-id.ts';
import { Role } from '../rpc/authorise.ts';
import { readStore } from '../store/entry-codec.ts';
import { loneEntry } from '../store/lone-entry.ts';
import type { Kind } from '../store/view.ts';
import type { BackupFile } from './backup-file.ts';
import { BackupError } from './records.ts';

/** There is something where the state is to go. */
export class StateDirectoryTakenError extends Error {
  override readonly name = 'StateDirectoryTakenError';

  constructor(directory: string) {
    super(`${directory} is not empty: name a new directory, or move this one away`);
  }
}

export type RestoreOptions = {
  readonly file: BackupFile;
  readonly stateDir: string;
  /** Of the manager's own node. */
  readonly availability: NodeSpecAvailability;
  readonly env: Env;
};

export type Restored = {
  readonly nodeId: string;
  readonly counts: ReadonlyMap<Kind, number>;
};

/**
 * Restores; resolves when the directory would survive a power cut.
 * @throws StateDirectoryTakenError; BackupError, before anything was written; the system's errors
 */
export async function restore(options: RestoreOptions): Promise<Restored> {
  const stateDir = resolve(options.stateDir);
  await assertEmpty(stateDir);
  const { cluster, counts } = examine(options.file);
  await mkdir(dirname(stateDir), { recursive: true });
  const building = await mkdtemp(`${stateDir}.restoring-`);
  try {
    const raftId = unusedId(options.file.header);
    const identity = await makeIdentity(building, { cluster, raftId, env: options.env });
    await makeLog(building, { identity, raftId }, options);
    await rename(building, stateDir).catch((error: unknown) => {
      throw isCode(error, 'ENOTEMPTY', 'EEXIST') ? new StateDirectoryTakenError(stateDir) : error;
    });
    await syncDirectory(dirname(stateDir));
    return { nodeId: identity.nodeId, counts };
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

const isCode = (error: unknown, ...codes: readonly string[]): boolean =>
  error instanceof Error && 'code' in error && codes.includes(String(error.code));

async function assertEmpty(directory: string): Promise<void> {
  const files = await readdir(directory).catch((error: unknown) => {
    if (isCode(error, 'ENOENT')) return [];
    throw isCode(error, 'ENOTDIR') ? new StateDirectoryTakenError(directory) : error;
  });
  if (files.length > 0) throw new StateDirectoryTakenError(directory);
}

function* objectsIn(file: BackupFile): ReturnType<typeof readStore> {
  for (const piece of file.pieces()) yield* readStore(piece);
}

/** Reads the whole backup; what is wrong with it is found here. */
function examine(file: BackupFile): { cluster: Cluster; counts: Map<Kind, number> } {
  const counts = new Map<Kind, number>();
  const clusters: Cluster[] = [];
  try {
    for (const { kind, bytes } of objectsIn(file)) {
      counts.set(kind, 1 + (counts.get(kind) ?? 0));
      if (kind === 'cluster') clusters.push(Cluster.decode(bytes));
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new BackupError(`holds what is no state of a cluster: ${error.message}`);
  }
  const cluster = clusters.find(({ id }) => id === file.header.clusterId);
  if (cluster === undefined) throw new BackupError('holds no cluster');
  if (cluster.rootCa.caKey.length === 0) {
    throw new BackupError('lacks the key of the cluster root, which signs the new manager');
  }
  return { cluster, counts };
}

async function makeIdentity(
  directory: string,
  {
    cluster,
    raftId,
    env,
  }: { readonly cluster: Cluster; readonly raftId: bigint; readonly env: Env },
): Promise<NodeIdentity> {
  const { caCert, caKey } = cluster.rootCa;
  const root = RootCa.parse(Buffer.from(caCert).toString(), Buffer.from(caKey).toString());
  const keyPem = await newKey();
  const name = { nodeId: env.newId(), organization: cluster.id, role: Role.MANAGER };
  const expiryMs = durationMs(cluster.spec.caConfig.nodeCertExpiry);
  const nowMs = env.nowMs();
  const certificatePem = root.issue(certificateRequest(keyPem), name, { nowMs, expiryMs });
  const keys = new KeyFiles(join(directory, 'certificates'));
  await keys.saveRoot(root.certificatePem);
  await keys.save(certificatePem, keyPem, foundedHeaders(newDataKeyHeaders(), raftId));
  return readIdentity({ certificatePem, keyPem, rootPem: root.certificatePem }, nowMs);
}

/** A log that begins with the backup as its snapshot, and whose one entry adds this manager's node. */
async function makeLog(
  directory: string,
  { identity, raftId }: { readonly identity: NodeIdentity; readonly raftId: bigint },
  { file, availability, env }: RestoreOptions,
): Promise<void> {
  const { index, term: lastTerm } = file.header;
  const removed = [...idsBefore(file.header)];
  // Where it is reached is told when the next manager joins.
  const self = RaftMember.create({ raftId, nodeId: identity.nodeId });
  const term = lastTerm + 1;
  const confState = toConfState([raftId]);
  const metadata = { index, term: lastTerm, confState };
  const data = await loneEntry(index + 1, env, (tx) =>
    tx.nodes.create(newNode({ identity, availability })),
  );
  const raftDirectory = join(directory, 'raft');
  await mkdir(raftDirectory, { mode: 0o700 });
  const keys = dataKeysOf(
    (await new KeyFiles(join(directory, 'certificates')).load())?.headers ?? {},
  );
  if (keys === undefined) throw new Error('the new key file holds no key of the raft log');
  await using log = openRaftLog(raftDirectory, keys);
  await log.save(
    {
      hardState: { term, vote: 0n, commit: index + 1 },
      snapshot: { data: undefined, metadata },
      entries: [Entry.create({ index: index + 1, term, data })],
      mustSync: true,
    },
    {
      meta: { ...metadata, members: [self], removed },
      chunks: { [Symbol.iterator]: () => file.pieces() },
    },
  );
  await log.saveMember(self);
}

/** All members of before: none of them may come back. */
const idsBefore = ({ members, removedMembers }: BackupHeader): ReadonlySet<bigint> =>
  new Set([...removedMembers, ...members.map(({ raftId }) => raftId)]);

function unusedId(header: BackupHeader): bigint {
  const used = idsBefore(header);
  for (;;) {
    const id = newRaftId();
    if (!used.has(id)) return id;
  }
}
