/** What a manager tells of itself and of the others, over real connections. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import { test } from 'node:test';
import { ManagerReport } from '../../shared/wire/gen/operations.ts';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { testCluster } from '../ca/testing/identities.ts';
import { silentLog } from '../log.ts';
import { Role } from '../rpc/authorise.ts';
import { Channel } from '../rpc/client.ts';
import { Code, hasCode } from '../rpc/errors.ts';
import { listenTcp } from '../rpc/listener.ts';
import { Operations } from './operations.ts';

const cluster = await testCluster();

const member = (raftId: bigint, addr: string): RaftMember =>
  RaftMember.create({ raftId, nodeId: `n${raftId}`, addr });

/** A manager's listener with its operations; `others` are the members beside it. */
async function manager(
  raftId: bigint,
  others: readonly RaftMember[],
  rotateDataKey = () => Promise.resolve(),
) {
  const nodeId = `n${raftId}`;
  const credentials = await cluster.member(nodeId, Role.MANAGER);
  const { rootPem, ...identity } = credentials;
  const connect = (address: string): Channel =>
    new Channel({ to: 'manager', address, rootPem, identity });
  const operations = new Operations({
    report: () => {
      const members = [member(raftId, 'here'), ...others];
      const state = { raftId, clusterId: 'c', nodeId, term: 7, lastIndex: 40, members };
      return ManagerReport.create({ ...state, addr: 'here', removedMembers: [9n] });
    },
    hostname: (id) => `host-of-${id}`,
    connect,
    heard: () => undefined,
    rotateDataKey,
    takeSnapshot: () => Promise.reject(new Error('no snapshot here')),
    nowMs: () => 0,
    leave: (force) => assert.fail(`leave ${force}`),
  });
  const listener = await listenTcp({
    host: '127.0.0.1',
    port: 0,
    credentials,
    services: [operations.forManagers],
    log: silentLog,
    policy: { organization: cluster.organization, isRemoved: () => false },
  });
  return { listener, connect, address: listener.address };
}

/** Takes connections and never says a word. */
async function silentServer() {
  const sockets = new Set<net.Socket>();
  const server = net.createServer((socket) => sockets.add(socket.on('error', () => undefined)));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const close = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  return { address: `127.0.0.1:${address.port}`, close };
}

test('[OPS1] a manager tells its own status; only managers may ask', async (t) => {
  const { listener, connect, address } = await manager(1n, []);
  t.after(() => listener.stop(0));
  using channel = connect(address);
  const { manager: told, peers } = await channel.service('Operations').Status({});
  assert.deepEqual([told.nodeId, told.hostname, told.term], ['n1', 'host-of-n1', 7]);
  assert.deepEqual([told.lastIndex, told.removedMembers, peers], [40, [9n], []]);

  const { rootPem, ...identity } = await cluster.member('w', Role.WORKER);
  using worker = new Channel({ to: 'manager', address, rootPem, identity });
  await assert.rejects(worker.service('Operations').Status({}), (error) =>
    hasCode(error, Code.PERMISSION_DENIED),
  );
});

test('[OPS3] a manager answers when the old data key is gone, and says why it is not', async (t) => {
  const { promise: rotated, resolve } = Promise.withResolvers<void>();
  const answers = [() => rotated, () => Promise.reject(new Error('disk full'))].values();
  const rotate = (): Promise<void> => (answers.next().value ?? assert.fail)();
  const { listener, connect, address } = await manager(1n, [], rotate);
  t.after(() => listener.stop(0));
  using channel = connect(address);
  const operations = channel.service('Operations');
  let answered = false;
  const answer = operations.RotateDataKey({}).then(() => (answered = true));
  await operations.Status({});
  assert.equal(answered, false);
  resolve();
  await answer;
  await assert.rejects(operations.RotateDataKey({}));
});

test('[OPS2] of the others it says what they tell, or why they do not', async (t) => {
  const silent = await silentServer();
  t.after(() => silent.close());
  const gone = await silentServer();
  gone.close();
  const second = await manager(2n, []);
  t.after(() => second.listener.stop(0));
  const others = [member(2n, second.address), member(3n, gone.address), member(4n, silent.address)];
  const first = await manager(1n, others);
  t.after(() => first.listener.stop(0));

  using channel = first.connect(first.address);
  const call = { timeoutMs: 30_000 };
  const { peers } = await channel.service('Operations').Status({ withPeers: true }, call);
  assert.deepEqual(
    peers.map(({ member: m, hostname, manager: told, error }) => [
      m?.raftId,
      hostname,
      told?.nodeId,
      error,
    ]),
    [
      [2n, 'host-of-n2', 'n2', ''],
      [3n, 'host-of-n3', undefined, `${gone.address} refused the connection`],
      [4n, 'host-of-n4', undefined, `${silent.address} did not answer in time`],
    ],
  );
});

test('[OPS4] a backup is not for whoever comes over the network, not even a manager', async (t) => {
  const { listener, connect, address } = await manager(1n, []);
  t.after(() => listener.stop(0));
  using channel = connect(address);
  await assert.rejects(Array.fromAsync(channel.service('Operations').Backup({})), (error) =>
    hasCode(error, Code.UNIMPLEMENTED),
  );
});
