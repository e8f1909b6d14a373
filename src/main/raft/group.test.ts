/** A member among others, over real connections. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManagerReport } from '../../shared/wire/gen/operations.ts';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { testCluster } from '../ca/testing/identities.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Role } from '../rpc/authorise.ts';
import { listenTcp } from '../rpc/listener.ts';
import { implement } from '../rpc/service.ts';
import { RaftGroup } from './group.ts';
import { LmdbLog } from './log/lmdb-log.ts';

const KEY = new Uint8Array(32).fill(3);
const OWN = 7n;

test('[NODE15] a member whose log is empty hears from the others that it was removed', async (t) => {
  const cluster = await testCluster();
  let removedMembers: readonly bigint[] = [];
  let asked = Promise.withResolvers<void>();
  const other = await listenTcp({
    host: '127.0.0.1',
    port: 0,
    credentials: await cluster.member('n1', Role.MANAGER),
    services: [
      implement('Operations', {
        Status: () => {
          asked.resolve();
          return { manager: ManagerReport.create({ raftId: 1n, removedMembers }), peers: [] };
        },
      }),
    ],
    log: silentLog,
    policy: { organization: cluster.organization, isRemoved: () => false },
  });
  t.after(() => other.stop(0));
  const directory = await mkdtemp(join(tmpdir(), 'skein-group-'));
  t.after(() => rm(directory, { recursive: true }));
  await using log = new LmdbLog(directory, KEY);
  const first = RaftMember.create({ raftId: 1n, nodeId: 'n1', addr: other.address });
  await log.saveMember(RaftMember.create({ raftId: OWN, nodeId: 'n7' }), [first]);

  const credentials = await cluster.member('n7', Role.MANAGER);
  const removed = Promise.withResolvers<void>();
  let isRemoved = false;
  const group = new RaftGroup({
    log,
    machine: {
      committed: () => undefined,
      abort: () => undefined,
      snapshot: () => assert.fail('there is nothing to take'),
      restore: () => undefined,
    },
    randBelow: realEnv.randBelow,
    logger: silentLog,
    tickMs: 20,
    credentials: () => credentials,
    address: () => '127.0.0.1:1',
    snapshotEvery: () => ({ interval: 0, keep: 0 }),
    onLeadership: () => assert.fail('it knows of nobody who would vote for it'),
    mayJoin: () => true,
    nameOf: (id) => id,
    onRemoved: () => {
      isRemoved = true;
      removed.resolve();
    },
    onFatal: (error) => assert.fail(String(error)),
  });
  await group.start();
  await asked.promise;
  asked = Promise.withResolvers();
  removedMembers = [5n];
  await asked.promise;
  assert.equal(isRemoved, false);
  removedMembers = [5n, OWN];
  await removed.promise;
  await group.stop();
});
