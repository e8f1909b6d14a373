/** Real agents with the real dispatcher and log broker, over mutual TLS. */
import assert from 'node:assert/strict';
import { before, describe, test } from 'node:test';
import { NodeStatusState, TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { Role } from '../rpc/authorise.ts';
import { Channel } from '../rpc/client.ts';
import { logLine } from './testing/fake-controllers.ts';
import { Leader } from './testing/leader.ts';
import { NodeBench } from './testing/node-bench.ts';

const { RUNNING } = TaskState;

/** Agents report what their controllers are given as running. */
const runAll = (node: NodeBench): void => {
  node.controllers.onAssign = async (ids) => {
    const status = TaskStatus.create({ state: RUNNING });
    await node.agent.statuses(ids.map((taskId) => ({ taskId, status })));
  };
};

describe('agents with a dispatcher', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });

  const start = async (nodeIds: readonly string[]) => {
    const stack = new AsyncDisposableStack();
    const leader = stack.use(await Leader.start(cluster, nodeIds));
    const managers = [leader.listener.address];
    const nodes: NodeBench[] = [];
    for (const nodeId of nodeIds) {
      nodes.push(stack.use(await NodeBench.start({ cluster, nodeId, managers })));
    }
    return { stack, leader, nodes };
  };

  test('a task goes to its node and its state comes back', async () => {
    const { stack, leader, nodes } = await start(['n1', 'n2']);
    await using _ = stack;
    nodes.forEach(runAll);
    for (const id of ['a', 'b']) await leader.createTask(id, 'n1');
    await leader.createTask('c', 'n2');
    await leader.until((view) => [...view.tasks.all()].every(({ state }) => state === RUNNING));
    assert.deepEqual(
      nodes.map((node) => [...node.controllers.tasks.keys()].toSorted()),
      [['a', 'b'], ['c']],
    );
  });

  test('[DSP15] a leader that stops keeps no connection, and says where its nodes are', async () => {
    const { stack, leader, nodes } = await start(['n1', 'n2']);
    await using _ = stack;
    nodes.forEach(runAll);
    for (const nodeId of ['n1', 'n2']) await leader.createTask(`t-${nodeId}`, nodeId);
    await leader.until((view) => [...view.tasks.all()].every(({ state }) => state === RUNNING));
    const began = performance.now();
    await leader[Symbol.asyncDispose](); // its grace is a minute
    assert.ok(performance.now() - began < 30_000);
    const states = leader.store.view((view) => [...view.nodes.all()].map((n) => n.status.state));
    const { DISCONNECTED } = NodeStatusState;
    assert.deepEqual(states, [DISCONNECTED, DISCONNECTED]);
  });

  test('logs go from nodes to a client; a node that goes meanwhile is named', async () => {
    const { stack, leader, nodes } = await start(['n1', 'n2']);
    await using _ = stack;
    nodes.forEach(runAll);
    for (const nodeId of ['n1', 'n2']) await leader.createTask(`t-${nodeId}`, nodeId);
    await leader.until((view) => [...view.tasks.all()].every(({ state }) => state === RUNNING));
    const { rootPem, ...identity } = await cluster.member('m1', Role.MANAGER);
    const { address } = leader.listener;
    using channel = new Channel({ to: 'manager', address, rootPem, identity });
    const request = { selector: { serviceIds: ['web'] } };
    const lines: string[] = [];
    const reading = (async () => {
      for await (const { messages } of channel.service('Logs').SubscribeLogs(request)) {
        for (const { data } of messages) lines.push(Buffer.from(data).toString());
        if (lines.length === 1) nodes[1]?.agent.stop();
      }
    })();
    while (nodes.some((node) => node.controllers.opened.length === 0)) {
      await new Promise<void>((resolve) => void setImmediate(resolve));
    }
    const [first, second] = nodes.map((node) => node.controllers.opened[0]?.logs);
    second?.take(0, [logLine('n2', 'half of it')]);
    first?.take(0, [logLine('n1', 'all of it')]);
    first?.threadEnded(0, []);
    await assert.rejects(reading, /following reasons: node n2 disconnected unexpectedly$/);
    assert.deepEqual(lines.toSorted(), ['all of it', 'half of it']);
  });
});
