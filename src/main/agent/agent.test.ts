/** The agent over mutual TLS against managers that do what the test says. */
import assert from 'node:assert/strict';
import { before, describe, mock, test } from 'node:test';
import { AssignmentsMessageType } from '../../shared/wire/gen/dispatcher.ts';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { SESSION } from './session.ts';
import { NodeBench } from './testing/node-bench.ts';
import { logLine } from './testing/fake-controllers.ts';
import { ScriptedManager } from './testing/scripted-manager.ts';

const { RUNNING, STARTING } = TaskState;
const { INCREMENTAL } = AssignmentsMessageType;
const INVALID = new RpcError(Code.INVALID_ARGUMENT, 'session invalid');

const taskChange = (id: string) => ({
  assignment: { item: { case: 'task', value: { id } } as const },
});
const status = (state: TaskState): TaskStatus => TaskStatus.create({ state });

describe('an agent', () => {
  let cluster: TestCluster;
  before(async () => {
    cluster = await testCluster();
  });

  const start = async (options: { readonly old?: boolean } = {}) => {
    const stack = new AsyncDisposableStack();
    const manager = stack.use(await ScriptedManager.start(cluster, 'm1', options));
    const managers = [manager.address];
    const node = stack.use(await NodeBench.start({ cluster, nodeId: 'n1', managers }));
    return { stack, manager, node };
  };

  test('registers with its description, beats, and passes on what it is told', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const rootCa = Buffer.from('a root');
    const session = await manager.accept({ node: { id: 'n1' }, rootCa });
    assert.deepEqual(
      [session.request.sessionId, session.request.description?.hostname],
      ['', 'machine'],
    );
    assert.deepEqual([(await node.nodes.next()).id, await node.roots.next()], ['n1', 'a root']);
    await node.ready.next();
    await manager.assignments.next();
    assert.deepEqual(manager.beats, ['session1']);
    await session.send({ sessionId: 'session1', node: { id: 'n1', role: 1 } });
    assert.equal((await node.nodes.next()).role, 1);
  });

  test('[AGT6] opens assignments anew after a gap, with nothing of the odd message', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const session = await manager.accept();
    const first = await manager.assignments.next();
    await first.send({ resultsIn: '1', changes: [taskChange('a')] });
    const odd = { type: INCREMENTAL, appliesTo: '7', resultsIn: '8', changes: [taskChange('odd')] };
    await first.send(odd);
    const second = await manager.assignments.next();
    await first.over;
    await second.send({ resultsIn: '1', changes: [taskChange('b')] });
    await second.send({ ...odd, appliesTo: '1', resultsIn: '2', changes: [taskChange('c')] });
    while (!node.controllers.tasks.has('c')) await new Promise((r) => void setImmediate(r));
    assert.deepEqual(node.database.ids(), ['b', 'c']);
    session.end();
    const again = await manager.accept();
    assert.equal(again.request.sessionId, 'session1', 'the session itself was never at fault');
  });

  test('[AGT6] a stream that begins with a gap ends the session', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const session = await manager.accept();
    const stream = await manager.assignments.next();
    await stream.send({ appliesTo: '1', resultsIn: '2' });
    await session.over;
    await manager.accept();
    assert.deepEqual(node.delays, [100]);
  });

  test('[AGT9] reports what it knows of its tasks at each registration', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const session = await manager.accept();
    const stream = await manager.assignments.next();
    await stream.send({ resultsIn: '1', changes: [taskChange('a')] });
    while (!node.controllers.tasks.has('a')) await new Promise((r) => void setImmediate(r));
    await node.agent.statuses([{ taskId: 'a', status: status(RUNNING) }]);
    const report = await manager.reports.next();
    assert.deepEqual(report.updates[0]?.status?.state, RUNNING);
    session.fail(INVALID);
    await manager.accept({ sessionId: 'session2' });
    const again = await manager.reports.next();
    assert.deepEqual([again.sessionId, again.updates], ['session2', report.updates]);
  });

  test('[AGT9] a report that fails closes the session and is sent in the next', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const session = await manager.accept();
    manager.onReport = () => {
      throw INVALID;
    };
    await node.agent.statuses([{ taskId: 'a', status: status(STARTING) }]);
    await manager.reports.next();
    await session.over;
    manager.onReport = () => undefined;
    await manager.accept({ sessionId: 'session2' });
    const again = await manager.reports.next();
    assert.deepEqual([again.sessionId, again.updates[0]?.status?.state], ['session2', STARTING]);
  });

  test('[AGT10] opens the session again, with its id, when it is to be described anew', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const session = await manager.accept();
    await manager.assignments.next();
    node.agent.refresh(); // nothing new
    node.controllers.description = { hostname: 'renamed' };
    node.agent.refresh();
    await session.over;
    const { request } = await manager.sessions.next();
    assert.deepEqual([request.sessionId, request.description?.hostname], ['session1', 'renamed']);
  });

  test('[AGT10] looks at its description every twenty seconds', async () => {
    mock.timers.enable({ apis: ['setInterval'] });
    try {
      const { stack, manager, node } = await start();
      await using _ = stack;
      const session = await manager.accept();
      await manager.assignments.next();
      node.controllers.description = { hostname: 'renamed' };
      mock.timers.tick(19_999);
      await manager.listeners.next();
      assert.equal(manager.sessions.size, 0);
      mock.timers.tick(1);
      await session.over;
      assert.equal((await manager.sessions.next()).request.description?.hostname, 'renamed');
    } finally {
      mock.timers.reset();
    }
  });

  test('gives a manager five seconds to answer', async () => {
    mock.timers.enable({ apis: ['setTimeout'] });
    try {
      const { stack, manager } = await start();
      await using _ = stack;
      const session = await manager.sessions.next();
      mock.timers.tick(SESSION.initiationMs - 1);
      let over = false;
      void session.over.then(() => (over = true));
      await new Promise<void>((resolve) => void setImmediate(resolve));
      assert.equal(over, false);
      mock.timers.tick(1);
      await session.over;
    } finally {
      mock.timers.reset();
    }
  });

  test('[AGT1] waits longer after each failure, until it has registered', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    for (let i = 0; i < 4; i += 1) (await manager.sessions.next()).fail(INVALID);
    const session = await manager.accept();
    await manager.assignments.next();
    session.end();
    await manager.sessions.next();
    assert.deepEqual(node.delays, [100, 300, 700, 1500, 100]);
  });

  test('[AGT11] remembers the managers that it is told of, and moves on when one is gone', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const other = stack.use(await ScriptedManager.start(cluster, 'm2'));
    const managers = [manager, other].map(({ address }, i) => ({
      peer: { nodeId: `m${i + 1}`, addr: address },
      weight: 10,
    }));
    const session = await manager.accept({ managers });
    const known = (await node.peers.next()).map(({ nodeId, addr }) => [nodeId, addr]);
    assert.deepEqual(known, [
      ['m1', manager.address],
      ['m2', other.address],
    ]);
    await session.send({ sessionId: 'session1', managers });
    await manager.stop();
    const moved = await other.accept({ sessionId: 's2', managers: managers.slice(1) });
    assert.equal(moved.request.sessionId, 'session1');
    assert.deepEqual(
      (await node.peers.next()).map(({ nodeId }) => nodeId),
      ['m2'],
    );
    assert.equal(node.peers.size, 0, 'only a change is told');
  });

  test('an empty list of managers is not believed', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    await manager.accept({ managers: [] });
    await manager.assignments.next();
    assert.equal(node.remotes.size, 1);
  });

  test('[AGT5] understands managers that only know lists of tasks, and no log broker', async () => {
    const { stack, manager, node } = await start({ old: true });
    await using _ = stack;
    await manager.accept();
    const lists = await manager.taskLists.next();
    await lists.send({ tasks: [{ id: 'a' }, { id: 'b' }] });
    await lists.send({ tasks: [{ id: 'b' }] });
    while (node.controllers.told.at(-1) !== 'remove a') {
      await new Promise((r) => void setImmediate(r));
    }
    assert.deepEqual(node.database.ids(), ['b']);
  });

  test('[AGT12] publishes what it is asked for, once, until it is told to end', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const session = await manager.accept();
    const listener = await manager.listeners.next();
    const subscription = { id: 'l1', options: { follow: true } };
    await listener.send(subscription);
    await listener.send(subscription);
    await listener.send({ id: 'l2' });
    while (node.controllers.opened.length < 2) await new Promise((r) => void setImmediate(r));
    const [first, second] = node.controllers.opened;
    assert.deepEqual([first?.message.id, second?.message.id], ['l1', 'l2']);
    first?.logs.take(0, [logLine('n1', 'hello')]);
    const message = await manager.published.next();
    assert.deepEqual(
      [message.subscriptionId, Buffer.from(message.messages[0]?.data ?? '').toString()],
      ['l1', 'hello'],
    );
    await listener.send({ id: 'l1', close: true });
    const last = await manager.published.next();
    assert.deepEqual([last.subscriptionId, last.close], ['l1', true]);
    session.fail(INVALID);
    await manager.sessions.next();
    assert.deepEqual(node.controllers.closed, ['l1', 'l2'], 'the session took the other with it');
  });

  test('[AGT8] leaving resolves when nothing of its tasks is left', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    await manager.accept();
    const stream = await manager.assignments.next();
    await stream.send({ resultsIn: '1', changes: [taskChange('a'), taskChange('b')] });
    while (node.controllers.tasks.size < 2) await new Promise((r) => void setImmediate(r));
    node.controllers.onRemoved = () => undefined;
    const leaving = node.agent.leave(60_000);
    while (node.controllers.tasks.size > 0) await new Promise((r) => void setImmediate(r));
    node.agent.removed(['a']);
    node.agent.removed(['b']);
    await leaving;
    assert.deepEqual(node.database.ids(), []);
  });

  test('stops at once while its machine takes its time to be described', async () => {
    const { stack, manager, node } = await start();
    await using _ = stack;
    const session = await manager.accept();
    await manager.assignments.next();
    const asked = Promise.withResolvers<void>();
    node.controllers.describe = () => {
      asked.resolve();
      return new Promise(() => undefined);
    };
    session.end();
    await asked.promise;
    node.agent.stop();
  });
});
