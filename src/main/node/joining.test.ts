/** A node that joins as a manager: in one go, after a crash on the way, and when it starts again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ManagerReport } from '../../shared/wire/gen/operations.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { Peer } from '../../shared/wire/gen/types.ts';
import { joinCluster } from '../ca/bootstrap.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { loadSecurityContext } from '../ca/security-context.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Channel } from '../rpc/client.ts';
import { Health } from '../rpc/health.ts';
import { listenTcp } from '../rpc/listener.ts';
import {
  foundedHeaders,
  isFounded,
  isJoining,
  newJoiningHeaders,
  raftIdsHeld,
} from './data-key.ts';
import { Node, type NodeOptions } from './node.ts';
import { readPeers, writePeers } from './peers-file.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

/** A folder that goes with the test, once all nodes that were deferred to `ends` have stopped. */
async function folder(t: TestContext) {
  const ends = new AsyncDisposableStack();
  t.after(() => ends.disposeAsync());
  const directory = await mkdtemp(join(tmpdir(), 'skein-joining-'));
  ends.defer(() => rm(directory, { recursive: true }));
  return { directory, ends };
}

function optionsOf(directory: string, hostname: string, joins?: NodeOptions['join']): NodeOptions {
  return {
    stateDir: join(directory, hostname),
    hostname,
    join: joins,
    availability: NodeSpecAvailability.DRAIN,
    executor: undefined,
    taskThreads: 1,
    manager: {
      listen: LOOPBACK,
      advertise: LOOPBACK,
      controlSocket: join(directory, `${hostname}.sock`),
      tickMs: 50,
    },
    env: realEnv,
    log: silentLog,
    onFatal: (error) => assert.fail(String(error)),
  };
}

const managersOf = async (directory: string, hostname: string): Promise<string[]> => {
  using channel = new Channel({ to: 'socket', path: join(directory, `${hostname}.sock`) });
  const { nodes } = await channel.service('Control').ListNodes({});
  return nodes.filter(({ managerStatus }) => managerStatus !== undefined).map(({ id }) => id);
};

test('[NODE7] a manager that crashed before it was let in is let in at its next start', async (t) => {
  const { directory, ends } = await folder(t);
  const founder = await Node.start(optionsOf(directory, 'founder'));
  ends.defer(() => founder.stop());
  const { manager } = founder;
  assert.ok(manager);
  const token = manager.store.view(
    (view) => [...view.clusters.all()][0]?.rootCa.joinTokens.manager,
  );
  const joins = { address: manager.address, token: token ?? '' };
  const options = optionsOf(directory, 'second', joins);

  // This far, and then the crash.
  const keys = new KeyFiles(join(options.stateDir, 'certificates'));
  const { identity } = await joinCluster({
    store: keys,
    ...joins,
    managerHeaders: newJoiningHeaders(),
    env: realEnv,
    log: silentLog,
    signal: new AbortController().signal,
  });
  const second = await Node.start(options);
  ends.defer(() => second.stop());
  await second.ready;
  assert.equal(second.nodeId, identity.nodeId);
  const both = [founder.nodeId, second.nodeId].toSorted();
  assert.deepEqual((await managersOf(directory, 'founder')).toSorted(), both);
  // Asked at the follower, the leader answers.
  assert.deepEqual((await managersOf(directory, 'second')).toSorted(), both);
  const stored = await keys.load();
  assert.equal(isFounded(stored?.headers ?? {}), true, 'it never joins as somebody new again');
});

test('[NODE7] a key is marked as joining until its log holds a cluster', () => {
  const joining = newJoiningHeaders();
  assert.deepEqual([isJoining(joining), isFounded(joining)], [true, false]);
  const joined = foundedHeaders(joining, 7n);
  assert.deepEqual([isJoining(joined), isFounded(joined)], [false, true]);
  assert.equal(joined['raft-dek'], joining['raft-dek']);
});

/**
 * A founder, and what a second manager has on its disk when it was let in and died before it heard so.
 * `other` joins before it, and lives.
 */
async function letIn(t: TestContext, other?: string) {
  const { directory, ends } = await folder(t);
  const founder = await Node.start(optionsOf(directory, 'founder'));
  ends.defer(() => founder.stop());
  const { manager } = founder;
  assert.ok(manager);
  const token = manager.store.view(
    (view) => [...view.clusters.all()][0]?.rootCa.joinTokens.manager,
  );
  const joins = { address: manager.address, token: token ?? '' };
  if (other !== undefined) {
    const node = await Node.start(optionsOf(directory, other, joins));
    ends.defer(() => node.stop());
  }
  const options = optionsOf(directory, 'second', joins);
  const { credentials, identity } = await joinCluster({
    store: new KeyFiles(join(options.stateDir, 'certificates')),
    ...joins,
    managerHeaders: newJoiningHeaders(),
    env: realEnv,
    log: silentLog,
    signal: new AbortController().signal,
  });
  // It answers the leader's question, and asks to be let in; that is all.
  const health = new Health(['Raft', 'Skein']);
  health.set('Raft', true);
  health.set('Skein', true);
  await using listener = await listenTcp({
    host: '127.0.0.1',
    port: 0,
    credentials,
    services: [health.service],
    log: silentLog,
    policy: { organization: identity.organization, isRemoved: () => false },
  });
  const { rootPem, ...shown } = credentials;
  using channel = new Channel({
    to: 'manager',
    address: joins.address,
    rootPem,
    identity: shown,
  });
  const { raftId } = await channel.service('RaftMembership').Join({ addr: listener.address });
  return { directory, ends, founder, options, raftId };
}

async function withFounder<T>(
  directory: string,
  use: (channel: Channel) => Promise<T>,
): Promise<T> {
  const keys = new KeyFiles(join(directory, 'founder', 'certificates'));
  const security = await loadSecurityContext(keys, Date.now());
  assert.ok(security);
  const { rootPem, ...identity } = security.credentials;
  const { addr: address } = await statusOf(directory, 'founder');
  using channel = new Channel({ to: 'manager', address, rootPem, identity });
  return await use(channel);
}

const statusOf = async (directory: string, hostname: string): Promise<ManagerReport> => {
  using channel = new Channel({ to: 'socket', path: join(directory, `${hostname}.sock`) });
  return (await channel.service('Operations').Status({})).manager;
};

async function untilLeaderless(directory: string): Promise<void> {
  while ((await statusOf(directory, 'founder')).leader !== 0n) await sleep(20);
}

test('[NODE15] of two managers, one that never heard that it was let in brings the quorum back', async (t) => {
  const { directory, ends, founder, options, raftId } = await letIn(t);
  await untilLeaderless(directory);
  // At another address than the one under which it was let in, and without being told where to ask.
  const second = await Node.start(options);
  ends.defer(() => second.stop());
  assert.equal((await statusOf(directory, 'second')).raftId, raftId);
  await second.ready;
  const both = [founder.nodeId, second.nodeId].toSorted();
  assert.deepEqual((await managersOf(directory, 'founder')).toSorted(), both);
  const stored = await new KeyFiles(join(options.stateDir, 'certificates')).load();
  assert.deepEqual([...raftIdsHeld(stored?.headers ?? {})], [raftId]);
});

test('[NODE15] one that was removed before it heard that it was let in is let in as somebody new', async (t) => {
  const { directory, ends, options, raftId } = await letIn(t, 'third');
  await withFounder(directory, (channel) =>
    channel.service('RaftMembership').Leave({ node: { raftId } }),
  );
  const second = await Node.start(options);
  ends.defer(() => second.stop());
  await second.ready;
  const now = await statusOf(directory, 'second');
  assert.notEqual(now.raftId, raftId);
  assert.deepEqual((await statusOf(directory, 'founder')).removedMembers, [raftId]);
  assert.equal((await managersOf(directory, 'founder')).length, 3);
});

test('[NODE16] a node whose managers are all elsewhere finds the one that it is told of', async (t) => {
  const { directory, ends } = await folder(t);
  const founder = await Node.start(optionsOf(directory, 'founder'));
  ends.defer(() => founder.stop());
  const { manager } = founder;
  assert.ok(manager);
  const token = manager.store.view((view) => [...view.clusters.all()][0]?.rootCa.joinTokens.worker);
  const options = optionsOf(directory, 'worker', { address: manager.address, token: token ?? '' });
  const first = await Node.start(options);
  await first.ready;
  await first.stop();
  // Nobody listens there.
  await writePeers(options.stateDir, [Peer.create({ nodeId: 'gone', addr: '127.0.0.1:1' })]);
  const worker = await Node.start(options);
  ends.defer(() => worker.stop());
  await worker.ready;
  assert.equal(worker.nodeId, first.nodeId);
  assert.deepEqual(
    (await readPeers(options.stateDir)).map(({ addr }) => addr),
    [manager.address],
  );
});
