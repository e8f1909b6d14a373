/** A manager's raft half as it is in a cluster: store, log on the disk, gRPC over mutual TLS. */
import { createHash } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { realEnv } from '../../src/main/env.ts';
import { silentLog } from '../../src/main/log.ts';
import { foundLog } from '../../src/main/raft/found-log.ts';
import { RaftGroup } from '../../src/main/raft/group.ts';
import type { DurableLog } from '../../src/main/raft/log/durable-log.ts';
import { LmdbLog } from '../../src/main/raft/log/lmdb-log.ts';
import { newRaftId } from '../../src/main/raft/raft-id.ts';
import { Health } from '../../src/main/rpc/health.ts';
import { listenTcp, type Credentials } from '../../src/main/rpc/listener.ts';
import type { Implementation } from '../../src/main/rpc/service.ts';
import { ReplicatedStore } from '../../src/main/store/store.ts';
import { RaftMember } from '../../src/shared/wire/gen/raft.ts';

export type MemberOptions = {
  readonly directory: string;
  readonly nodeId: string;
  readonly organization: string;
  readonly credentials: Credentials;
  /** Who lets this member in; without, it founds a group, unless its log knows one already. */
  readonly joins?: string | undefined;
  /** Entries that stay behind a snapshot; 500 unless given. */
  readonly keep?: number;
  /** More services for its listener. */
  readonly services?: (store: ReplicatedStore) => readonly Implementation[];
};

/** What a member holds, to be compared with others. */
export type Contents = { readonly count: number; readonly digest: string };

export type Member = AsyncDisposable & {
  readonly store: ReplicatedStore;
  readonly group: RaftGroup;
  readonly address: string;
  /** Writes of the log that were waited for, and the bytes that their entries carried. */
  readonly saved: () => { readonly saves: number; readonly bytes: number };
  readonly contents: () => Contents;
};

const KEY = new Uint8Array(32).fill(7);
const TICK_MS = 200;
/** As a cluster has it by default (behaviour rule 3.1). */
const SNAPSHOTS = { interval: 10_000, keep: 500 } as const;

const NUMBER_BYTES = 8;

/** What an object carries: a number, and bytes that only take room. */
export function numberedBytes(number: number, length: number): Uint8Array {
  const bytes = Buffer.alloc(length, 1);
  bytes.writeDoubleLE(number);
  return bytes;
}

function numberIn(bytes: Uint8Array): number {
  return bytes.length < NUMBER_BYTES
    ? 0
    : Buffer.from(bytes.subarray(0, NUMBER_BYTES)).readDoubleLE();
}

export function digestOf(
  objects: readonly { readonly id: string; readonly number: number }[],
): Contents {
  const sorted = objects.map(({ id, number }) => `${id} ${number}`).toSorted();
  const digest = createHash('sha256').update(sorted.join('\n')).digest('hex');
  return { count: sorted.length, digest };
}

/** The log, counting what is waited for. */
class CountedLog extends LmdbLog {
  saves = 0;
  bytes = 0;

  override save(...args: Parameters<DurableLog['save']>): Promise<void> {
    const [{ entries }] = args;
    this.saves += 1;
    for (const { data } of entries) this.bytes += data?.length ?? 0;
    return super.save(...args);
  }
}

/** Starts a member; resolves when it leads or, joining, follows. */
export async function startMember(options: MemberOptions): Promise<Member> {
  const { directory, nodeId, organization, credentials, joins } = options;
  await mkdir(directory, { recursive: true });
  const log = new CountedLog(directory, KEY);
  const leads = Promise.withResolvers<void>();
  const health = new Health(['Raft', 'Skein']);
  health.set('Raft', true);
  health.set('Skein', true);
  let address = '';
  const failed = (error: unknown): void => leads.reject(error);
  const group = new RaftGroup({
    log,
    machine: {
      committed: (index, bytes) => store.committed(index, bytes),
      abort: () => store.abort(),
      snapshot: () => store.snapshot(),
      restore: (index, chunks) => store.restore(index, chunks),
    },
    randBelow: realEnv.randBelow,
    logger: silentLog,
    tickMs: TICK_MS,
    settings: { preVote: true },
    credentials: () => credentials,
    address: () => address,
    snapshotEvery: () => ({ ...SNAPSHOTS, keep: options.keep ?? SNAPSHOTS.keep }),
    onLeadership: (leading) => leading && leads.resolve(),
    mayJoin: () => true,
    nameOf: (id) => id,
    onRemoved: () => failed(new Error('this member was removed')),
    onFatal: failed,
  });
  const store = new ReplicatedStore({ env: realEnv, log: group.driver });
  const listener = await listenTcp({
    host: '127.0.0.1',
    port: 0,
    credentials,
    services: [health.service, ...group.services, ...(options.services?.(store) ?? [])],
    log: silentLog,
    policy: { organization, isRemoved: () => false },
  });
  ({ address } = listener);
  if (log.member() !== undefined) {
    // It goes on where it ended.
  } else if (joins === undefined) {
    await foundLog(log, RaftMember.create({ raftId: newRaftId(), nodeId, addr: address }), []);
  } else {
    await group.join({
      nodeId,
      clusterId: organization,
      addresses: () => [],
      address: () => joins,
      failed: () => undefined,
      hasHeld: () => false,
      joined: async () => undefined,
    });
  }
  await group.start();
  if (joins === undefined) await leads.promise;
  return {
    store,
    group,
    address,
    saved: () => ({ saves: log.saves, bytes: log.bytes }),
    contents: () =>
      digestOf(
        store.view((view) =>
          [...view.configs.all()].map(({ id, spec }) => ({ id, number: numberIn(spec.data) })),
        ),
      ),
    [Symbol.asyncDispose]: async () => {
      await listener.stop(0);
      await group.stop();
      await log[Symbol.asyncDispose]();
    },
  };
}
