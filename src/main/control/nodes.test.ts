import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster, Node, Task } from '../../shared/wire/gen/objects.ts';
import {
  NodeRole,
  NodeStatusState,
  RaftMemberStatusReachability,
  TaskState,
} from '../../shared/wire/gen/types.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { millisOf } from '../../shared/model/time.ts';
import { newKey, selfSigned } from '../ca/certificates.ts';
import { Code } from '../rpc/errors.ts';
import { Bench } from './testing/bench.ts';

const MANAGER = { role: NodeRole.MANAGER, spec: { desiredRole: NodeRole.MANAGER } } as const;

async function benchWith(...nodes: readonly Init<Node>[]): Promise<Bench> {
  const bench = new Bench();
  await bench.write((tx) => {
    tx.clusters.create(Cluster.create({ id: 'c', spec: { annotations: { name: 'default' } } }));
    for (const node of nodes) tx.nodes.create(Node.create(node));
  });
  return bench;
}

function joinRaft(bench: Bench, nodeId: string, raftId = 7n): void {
  const reachability = RaftMemberStatusReachability.REACHABLE;
  bench.members.set(nodeId, { raftId, addr: 'a:1', leader: true, reachability });
}

async function versionOf(bench: Bench, nodeId: string) {
  return (await bench.call('GetNode', { nodeId })).node?.meta.version;
}

test('[CTL20] a node shows what raft knows of it', async () => {
  const bench = await benchWith({ id: 'm', ...MANAGER }, { id: 'w' });
  joinRaft(bench, 'm');
  const expected = { raftId: 7n, addr: 'a:1', leader: true, reachability: 2 };
  assert.deepEqual((await bench.call('GetNode', { nodeId: 'm' })).node?.managerStatus, expected);
  const { nodes } = await bench.call('ListNodes', {});
  assert.deepEqual(
    nodes.map((node) => node.managerStatus),
    [expected, undefined],
  );
  assert.deepEqual(await bench.refusal('GetNode', { nodeId: 'x' }), {
    code: Code.NOT_FOUND,
    text: 'node x not found',
  });
  assert.equal((await bench.refusal('GetNode', {}))?.code, Code.INVALID_ARGUMENT);
});

test('[CTL21] nodes are filtered by host name, labels of both kinds, role and membership', async () => {
  const bench = await benchWith(
    {
      id: 'a1',
      role: 1,
      description: { hostname: 'one', engine: { labels: { disk: 'ssd' } } },
      spec: { annotations: { name: 'not-this', labels: { rack: 'r1' } }, membership: 1 },
    },
    { id: 'a2', description: { hostname: 'one' }, spec: { desiredRole: 1 } },
    { id: 'b1', spec: { membership: 1 } },
  );
  const ids = async (filters: object): Promise<string> => {
    const { nodes } = await bench.call('ListNodes', { filters });
    return nodes.map(({ id }) => id).join(' ');
  };
  for (const [filters, expected] of [
    [{}, 'a1 a2 b1'],
    [{ names: ['one'] }, 'a1 a2'],
    [{ names: ['One'] }, ''],
    [{ namePrefixes: ['on', 'x'] }, 'a1 a2'],
    [{ names: ['not-this'] }, ''],
    [{ idPrefixes: ['a1', 'b'] }, 'a1 b1'],
    [{ labels: { disk: '' } }, 'a1'],
    [{ labels: { disk: 'hdd' } }, ''],
    [{ labels: { rack: 'r1' } }, ''],
    [{ nodeLabels: { rack: 'r1' } }, 'a1'],
    [{ roles: [1] }, 'a1'],
    [{ roles: [0, 1] }, 'a1 a2 b1'],
    [{ memberships: [1] }, 'a1 b1'],
    [{ memberships: [1], roles: [0] }, 'b1'],
  ] as const) {
    assert.equal(await ids(filters), expected, JSON.stringify(filters));
  }
});

test('[CTL22] an update changes the spec and nothing else', async () => {
  const bench = await benchWith({ id: 'w', description: { hostname: 'h' }, status: { addr: 'x' } });
  const version = await versionOf(bench, 'w');
  const spec = { availability: 2, annotations: { labels: { a: 'b' } } } as const;
  const { node } = await bench.call('UpdateNode', { nodeId: 'w', nodeVersion: version, spec });
  assert.equal(node?.spec.availability, 2);
  assert.deepEqual(node.spec.annotations.labels, { a: 'b' });
  assert.equal(node.description?.hostname, 'h');
  assert.equal(node.status.addr, 'x');
  const stale = { nodeId: 'w', nodeVersion: version, spec };
  assert.deepEqual(await bench.refusal('UpdateNode', stale), {
    code: Code.UNKNOWN,
    text: 'update out of sequence',
  });
  for (const request of [{}, { nodeId: 'w' }, { nodeId: 'w', nodeVersion: {} }, { spec }]) {
    const refused = await bench.refusal('UpdateNode', request);
    assert.match(refused?.text ?? '', /^invalid argument: the node \w+ must be provided$/);
    assert.equal(refused?.code, Code.INVALID_ARGUMENT);
  }
  assert.deepEqual(await bench.refusal('UpdateNode', { ...stale, nodeId: 'x' }), {
    code: Code.NOT_FOUND,
    text: 'node x not found',
  });
});

test('[CTL23] a manager is demoted only while the cluster can do without it', async () => {
  const bench = await benchWith({ id: 'm1', ...MANAGER });
  const demote = async (nodeId: string) => {
    const nodeVersion = await versionOf(bench, nodeId);
    return bench.refusal('UpdateNode', { nodeId, nodeVersion, spec: {} });
  };
  const last = {
    code: Code.FAILED_PRECONDITION,
    text: 'attempting to demote the last manager of the swarm',
  };
  joinRaft(bench, 'm1');
  assert.deepEqual(await demote('m1'), last);
  await bench.write((tx) => {
    tx.nodes.create(Node.create({ id: 'm2', ...MANAGER }));
    tx.nodes.create(Node.create({ id: 'm3', ...MANAGER }));
  });
  assert.deepEqual(await demote('m2'), {
    code: Code.NOT_FOUND,
    text: "can't find manager in raft memberlist",
  });
  joinRaft(bench, 'm2');
  joinRaft(bench, 'm3');
  bench.isQuorumSafe = false;
  bench.missing = ': managers not reached: m3 (10.0.0.3:2377)';
  assert.deepEqual(await demote('m2'), {
    code: Code.FAILED_PRECONDITION,
    text:
      "can't remove member from the raft: this would result in a loss of quorum" +
      ': managers not reached: m3 (10.0.0.3:2377)',
  });
  bench.isQuorumSafe = true;
  assert.equal(await demote('m2'), undefined);
  assert.equal(await demote('m1'), undefined);
  // Both are still managers by what is observed, and neither will stay one.
  assert.deepEqual(await demote('m3'), last);
});

test('[CTL23] a promotion can be taken back before the node has joined', async () => {
  const up = { state: NodeStatusState.READY };
  const bench = await benchWith({ id: 'm1', ...MANAGER }, { id: 'm2', ...MANAGER, status: up });
  joinRaft(bench, 'm1');
  const nodeVersion = await versionOf(bench, 'm2');
  assert.equal(
    await bench.refusal('UpdateNode', { nodeId: 'm2', nodeVersion, spec: {} }),
    undefined,
  );
});

const plugin = (type: string, name: string) => ({ engine: { plugins: [{ type, name }] } });

test('[CTL26] only a node that runs Skein becomes a manager', async () => {
  const bench = await benchWith(
    { id: 'new' },
    { id: 'engine', description: { hostname: 'box', ...plugin('Network', 'overlay') } },
    { id: 'bare', description: {} },
    { id: 'skein', description: plugin('Runtime', 'docker') },
  );
  const promote = async (nodeId: string) => {
    const nodeVersion = await versionOf(bench, nodeId);
    const request = { nodeId, nodeVersion, spec: { desiredRole: NodeRole.MANAGER } };
    return bench.refusal('UpdateNode', request);
  };
  const refused = await promote('engine');
  assert.equal(refused?.code, Code.FAILED_PRECONDITION);
  assert.match(refused.text, /^node box is a Docker Engine, which cannot be a manager/);
  assert.match((await promote('bare'))?.text ?? '', /^node bare is a Docker Engine/);
  assert.match((await promote('new'))?.text ?? '', /^node new has not registered yet/);
  assert.equal(await promote('skein'), undefined);
});

test('[CTL24] a member of raft and a node at work are not removed', async () => {
  const bench = await benchWith(
    { id: 'm', ...MANAGER, status: { state: NodeStatusState.DOWN } },
    { id: 'w', status: { state: NodeStatusState.READY } },
  );
  joinRaft(bench, 'm');
  const manager = {
    code: Code.FAILED_PRECONDITION,
    text: 'node m is a cluster manager and is a member of the raft cluster. It must be demoted to worker before removal',
  };
  assert.deepEqual(await bench.refusal('RemoveNode', { nodeId: 'm' }), manager);
  assert.deepEqual(await bench.refusal('RemoveNode', { nodeId: 'm', force: true }), manager);
  assert.deepEqual(await bench.refusal('RemoveNode', { nodeId: 'w' }), {
    code: Code.FAILED_PRECONDITION,
    text: "node w is not down and can't be removed",
  });
  assert.equal(await bench.refusal('RemoveNode', { nodeId: 'w', force: true }), undefined);
  assert.deepEqual(await bench.refusal('RemoveNode', { nodeId: 'w' }), {
    code: Code.NOT_FOUND,
    text: 'node w not found',
  });
  for (const [id, state] of Object.entries(NodeStatusState)) {
    if (state === NodeStatusState.READY) continue;
    await bench.write((tx) => tx.nodes.create(Node.create({ id, status: { state } })));
    assert.equal(await bench.refusal('RemoveNode', { nodeId: id }), undefined, id);
  }
});

test('[CTL25] removal bars the certificate and gives up live tasks, in one entry', async () => {
  const bench = await benchWith({ id: 'w' }, { id: 'other' });
  const states = { live: TaskState.RUNNING, fresh: TaskState.ASSIGNED, done: TaskState.COMPLETE };
  await bench.write((tx) => {
    for (const [id, state] of Object.entries(states)) {
      tx.tasks.create(
        Task.create({ id, nodeId: 'w', status: { state, err: 'old', message: 'm' } }),
      );
    }
    tx.tasks.create(Task.create({ id: 'far', nodeId: 'other', status: { state: 512 } }));
  });
  const { log, store } = bench.memory;
  const entries = log.committed.length;
  await bench.call('RemoveNode', { nodeId: 'w' });
  assert.equal(log.committed.length, entries + 1);
  const task = async (taskId: string) => (await bench.call('GetTask', { taskId })).task?.status;
  const orphaned = {
    state: TaskState.ORPHANED,
    message: 'Task belonged to a node that has been deleted',
    err: '',
  };
  for (const id of ['live', 'fresh']) {
    const status = await task(id);
    assert.deepEqual({ ...orphaned, ...status }, { ...status, ...orphaned });
    assert.equal(millisOf(status?.timestamp), bench.nowMs);
  }
  assert.equal((await task('done'))?.state, TaskState.COMPLETE);
  assert.equal((await task('far'))?.state, TaskState.RUNNING);
  const barred = store.view((view) => view.clusters.get('c')?.blacklistedCertificates);
  assert.deepEqual(barred, { w: { expiry: undefined } });
});

test('[CTL25] a node with more tasks than one entry holds is removed too', async () => {
  const bench = await benchWith({ id: 'w' });
  const ids = Array.from({ length: 3000 }, (_, index) => `t${index}`);
  const env = ['x'.repeat(1000)];
  await bench.memory.store.batch(ids, (tx, id) =>
    tx.tasks.create(
      Task.create({
        id,
        nodeId: 'w',
        status: { state: TaskState.RUNNING },
        spec: { runtime: { case: 'container', value: { env } } },
      }),
    ),
  );
  await bench.call('RemoveNode', { nodeId: 'w' });
  bench.memory.store.view((view) => {
    assert.equal(view.nodes.get('w'), undefined);
    assert.equal(view.tasks.byState(TaskState.ORPHANED).length, ids.length);
  });
});

test('[CTL25] the entry of a barred certificate ends with the certificate', async () => {
  const valid = { notBeforeMs: Date.UTC(2021, 0, 1), notAfterMs: Date.UTC(2031, 0, 1) };
  const certificate = Buffer.from(selfSigned(await newKey(), 'w', valid));
  const bench = await benchWith({ id: 'w', certificate: { certificate } });
  await bench.call('RemoveNode', { nodeId: 'w' });
  const { cluster } = await bench.call('GetCluster', { clusterId: 'c' });
  assert.equal(millisOf(cluster?.blacklistedCertificates['w']?.expiry), valid.notAfterMs);
});
