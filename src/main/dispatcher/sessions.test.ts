/** Sessions, heartbeats and what becomes of nodes that fall silent. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node } from '../../shared/wire/gen/objects.ts';
import { NodeStatusState, TaskState } from '../../shared/wire/gen/types.ts';
import { millisOf } from '../../shared/model/time.ts';
import { Code } from '../rpc/errors.ts';
import { NODE_MESSAGE } from './node-states.ts';
import { Bench, MANAGER } from './testing/bench.ts';
import { status } from './testing/calls.ts';

const { READY, DOWN, UNKNOWN, DISCONNECTED } = NodeStatusState;
const PERIOD_MS = 5000;
const DAY_MS = 24 * 3600 * 1000;

test('a session begins with all that a node must know, when READY is committed', async () => {
  await using bench = await Bench.open();
  const description = { hostname: 'host1' };
  const stream = bench.calls.open('n1', 'Session', { description });
  const first = await stream.next();
  assert.notEqual(first.sessionId, '');
  assert.deepEqual(first.managers, bench.managers);
  assert.equal(Buffer.from(first.rootCa).toString(), 'root');
  assert.equal(first.node?.description?.hostname, 'host1');
  assert.equal(first.node?.status.addr, '10.0.0.1');
  assert.deepEqual(bench.node(), { state: READY, message: '' });
});

test('a node without a description, or that is unknown to the store', async () => {
  await using bench = await Bench.open();
  const stream = bench.calls.open('n1', 'Session', {});
  assert.equal((await stream.next()).node?.description, undefined);
  const stranger = bench.calls.open('n9', 'Session', {});
  await assert.rejects(stranger.ended, status(Code.UNKNOWN, 'node not found'));
});

test('[DSP13] the message is sent again when the node, the cluster or the managers change', async () => {
  await using bench = await Bench.open(['n1', 'n2']);
  const { stream, sessionId } = await bench.register('n1');
  await bench.write((tx) => {
    const node = tx.nodes.get('n1');
    if (node !== undefined)
      tx.nodes.update({ ...node, certificate: { ...node.certificate, cn: 'x' } });
  });
  assert.equal((await stream.next()).node?.certificate.cn, 'x');
  await bench.write((tx) => {
    const [cluster] = tx.clusters.all();
    if (cluster === undefined) return;
    const key = { subsystem: 's', algorithm: 0, key: Buffer.from('k'), lamportTime: 7 } as const;
    tx.clusters.update({ ...cluster, networkBootstrapKeys: [key] });
  });
  assert.equal((await stream.next()).networkBootstrapKeys[0]?.lamportTime, 7);
  bench.managers = [...bench.managers, { peer: { nodeId: 'm2', addr: 'b:1' }, weight: 10 }];
  bench.dispatcher.managersChanged();
  const last = await stream.next();
  assert.deepEqual([last.sessionId, last.managers.length], [sessionId, 2]);
  await bench.write((tx) => tx.nodes.create(Node.create({ id: 'n3' })));
  await bench.register('n2');
  assert.equal(stream.unread, 0, 'other nodes are none of its business');
});

test('a known session goes on: the description is refreshed, the id stays', async () => {
  await using bench = await Bench.open();
  const { sessionId } = await bench.register();
  const again = bench.calls.open('n1', 'Session', { sessionId, description: { hostname: 'new' } });
  const message = await again.next();
  assert.equal(message.sessionId, sessionId);
  assert.equal(message.node?.description?.hostname, 'new');
  const bare = bench.calls.open('n1', 'Session', { sessionId });
  assert.equal((await bare.next()).node?.description?.hostname, 'new');
  await bench.beat(sessionId);
});

test('[DSP5] a new registration ends the streams of the old session and refuses its heartbeats', async () => {
  await using bench = await Bench.open();
  const old = await bench.register();
  const assignments = bench.assignments(old.sessionId);
  await assignments.next();
  const fresh = await bench.register();
  assert.notEqual(fresh.sessionId, old.sessionId);
  const invalid = status(Code.INVALID_ARGUMENT, 'session invalid');
  await assert.rejects(old.stream.ended, invalid);
  await assert.rejects(assignments.ended, invalid);
  await assert.rejects(bench.beat(old.sessionId), invalid);
  await assert.rejects(bench.assignments(old.sessionId).ended, invalid);
  await bench.beat(fresh.sessionId);
  await assert.rejects(bench.beat('', 'n9'), status(Code.NOT_FOUND, 'node not registered'));
});

test('[DSP4] the fourth registration in a row is refused, until eight seconds are over', async () => {
  await using bench = await Bench.open();
  for (let i = 0; i < 3; i += 1) await bench.register();
  const text = 'node n1 exceeded rate limit count of registrations';
  const fourth = bench.calls.open('n1', 'Session', {});
  await assert.rejects(fourth.ended, status(Code.UNAVAILABLE, text));
  bench.nowMs += 8001;
  await bench.register();
});

test('[DSP1] a node that falls silent is DOWN after three periods, and comes back', async () => {
  await using bench = await Bench.open();
  const { sessionId, stream } = await bench.register();
  const { period } = await bench.beat(sessionId);
  assert.ok(period !== undefined && period.seconds >= 4 && period.seconds <= 5);
  await bench.pass(3 * PERIOD_MS - 1);
  assert.equal(bench.node().state, READY);
  await bench.pass(1);
  assert.deepEqual(bench.node(), { state: DOWN, message: NODE_MESSAGE.lost });
  await assert.rejects(stream.ended, status(Code.NOT_FOUND, 'node not registered'));
  await assert.rejects(bench.beat(sessionId), status(Code.NOT_FOUND, 'node not registered'));
  await bench.register();
  assert.deepEqual(bench.node(), { state: READY, message: '' });
});

test('[DSP16] a silent node has more time while the manager could not hear it, but not for ever', async () => {
  await using bench = await Bench.open();
  await bench.register();
  bench.monotonicMs += 10_000; // the thread was blocked
  await bench.pass(10_000);
  bench.callersWait = true;
  bench.monotonicMs += 20_000;
  await bench.pass(20_000);
  bench.callersWait = false;
  await bench.pass(3 * PERIOD_MS - 1000 - 2000 - 1);
  assert.equal(bench.node().state, READY);
  await bench.pass(1);
  assert.deepEqual(bench.node(), { state: DOWN, message: NODE_MESSAGE.lost });
});

test('[DSP6] nodes may be silent for longer while others wait to be heard at all', async () => {
  await using bench = await Bench.open();
  const { sessionId } = await bench.register();
  const periodMs = async (): Promise<number> => millisOf((await bench.beat(sessionId)).period);
  bench.callersWait = true;
  bench.monotonicMs += 999;
  await bench.pass(0);
  assert.ok((await periodMs()) <= PERIOD_MS + 500);
  bench.monotonicMs += 1;
  await bench.pass(0);
  assert.ok((await periodMs()) >= 2 * PERIOD_MS - 500);
  bench.callersWait = false;
  await bench.pass(6 * PERIOD_MS - 1);
  assert.equal(bench.node().state, READY);
  assert.ok((await periodMs()) <= PERIOD_MS + 500);
  await bench.pass(3 * PERIOD_MS);
  assert.deepEqual(bench.node(), { state: DOWN, message: NODE_MESSAGE.lost });
});

test('[DSP17] of many nodes that register those after the first are written together', async () => {
  const ids = Array.from({ length: 20 }, (_, i) => `n${i}`);
  await using bench = await Bench.open(ids);
  const commits: number[] = [];
  bench.store.watch(({ changes }) => void commits.push(changes.length));
  const hostname = 'x'.repeat(2 << 20);
  const tooLarge = bench.calls.open('n19', 'Session', { description: { hostname } });
  const refused = assert.rejects(tooLarge.ended);
  await Promise.all(ids.slice(0, 19).map((id) => bench.register(id)));
  await refused;
  assert.deepEqual(commits, [19]);
  assert.notEqual(bench.node('n19').state, READY);
});

test('the period of the cluster’s spec holds from the next heartbeat on', async () => {
  await using bench = await Bench.open();
  const { sessionId } = await bench.register();
  await bench.write((tx) => {
    const [cluster] = tx.clusters.all();
    if (cluster === undefined) return;
    const dispatcher = { heartbeatPeriod: { seconds: 1, nanos: 0 } };
    tx.clusters.update({ ...cluster, spec: { ...cluster.spec, dispatcher } });
  });
  const { period } = await bench.beat(sessionId);
  assert.ok(millisOf(period) >= 900 && millisOf(period) <= 1100);
  await bench.pass(3000);
  assert.equal(bench.node().state, DOWN);
});

test('[DSP2] a new leader knows nobody; who does not come back within six periods is DOWN', async () => {
  await using bench = await Bench.open(['n1', 'n2', 'n3']);
  await bench.register('n1');
  await bench.register('n2');
  await bench.dispatcher.stop(false);
  await bench.write((tx) => tx.nodes.remove('n3'));
  await bench.dispatcher.start();
  assert.deepEqual(bench.node('n1'), { state: UNKNOWN, message: NODE_MESSAGE.leaderChange });
  await bench.register('n1');
  await bench.pass(3 * PERIOD_MS - 1);
  await bench.pass(1);
  assert.equal(bench.node('n1').state, DOWN, 'registered, so three periods count');
  assert.equal(bench.node('n2').state, UNKNOWN);
  await bench.pass(3 * PERIOD_MS);
  assert.deepEqual(bench.node('n2'), { state: DOWN, message: NODE_MESSAGE.missing });
});

test('a session of an earlier leadership must be opened anew', async () => {
  await using bench = await Bench.open();
  const { sessionId } = await bench.register();
  await bench.dispatcher.stop(false);
  await assert.rejects(bench.beat(sessionId), status(Code.ABORTED, 'dispatcher is stopped'));
  await bench.dispatcher.start();
  await assert.rejects(bench.beat(sessionId), status(Code.NOT_FOUND, 'node not registered'));
});

test('[DSP14] a node that registers while the new leader still marks the others stays READY', async () => {
  const ids = Array.from({ length: 2500 }, (_, i) => `n${i}`);
  await using bench = await Bench.open(ids);
  await bench.dispatcher.stop(false);
  const starting = bench.dispatcher.start();
  const { sessionId } = await bench.register('n2400');
  await starting;
  assert.equal(bench.node('n2400').state, READY);
  assert.equal(bench.node('n2399').state, UNKNOWN);
  await bench.beat(sessionId, 'n2400');
});

test('[DSP14] a node whose READY is being written is not taken for lost', async () => {
  await using bench = await Bench.open();
  await bench.pass(6 * PERIOD_MS - 1);
  const registering = bench.register();
  await bench.pass(1);
  await registering;
  assert.deepEqual(bench.node(), { state: READY, message: '' });
});

test('[DSP3] after a day of silence the tasks of a node are given up, once', async () => {
  await using bench = await Bench.open();
  const states = [TaskState.ASSIGNED, TaskState.RUNNING, TaskState.COMPLETE, TaskState.PENDING];
  for (const state of states) await bench.createTask(`t${state}`, { status: { state } });
  await bench.register();
  await bench.pass(3 * PERIOD_MS);
  const stateOf = (state: TaskState): TaskState | undefined =>
    bench.store.view((view) => view.tasks.get(`t${state}`)?.state);
  await bench.pass(DAY_MS - 1);
  assert.equal(stateOf(TaskState.RUNNING), TaskState.RUNNING);
  await bench.pass(1);
  const { ORPHANED, COMPLETE, PENDING } = TaskState;
  assert.deepEqual(states.map(stateOf), [ORPHANED, ORPHANED, COMPLETE, PENDING]);
  const before = bench.store.appliedIndex;
  await bench.pass(2 * DAY_MS);
  assert.equal(bench.store.appliedIndex, before);
});

test('a node that is DOWN when a leader comes is given up a day later', async () => {
  await using bench = await Bench.open();
  await bench.pass(6 * PERIOD_MS);
  await bench.createTask('t', { status: { state: TaskState.RUNNING } });
  await bench.dispatcher.stop(false);
  bench.nowMs += DAY_MS - 1000;
  await bench.dispatcher.start();
  assert.equal(bench.node().state, DOWN);
  const state = (): unknown => bench.store.view((view) => view.tasks.get('t')?.state);
  await bench.pass(DAY_MS - 1);
  assert.equal(state(), TaskState.RUNNING);
  await bench.pass(1);
  assert.equal(state(), TaskState.ORPHANED);
});

test('a deleted node loses its session and its streams', async () => {
  await using bench = await Bench.open();
  const { sessionId, stream } = await bench.register();
  await bench.write((tx) => tx.nodes.remove('n1'));
  await assert.rejects(stream.ended, status(Code.NOT_FOUND, 'node not registered'));
  await assert.rejects(bench.beat(sessionId), status(Code.NOT_FOUND, 'node not registered'));
});

test('[DSP15] stopping ends every stream and, as leader, says where the nodes are', async () => {
  await using bench = await Bench.open(['n1', 'n2']);
  const { sessionId, stream } = await bench.register();
  const assignments = bench.assignments(sessionId);
  await assignments.next();
  await bench.createTask('t');
  const updates = [{ taskId: 't', status: { state: TaskState.RUNNING } }];
  await bench.calls.ask('n1', 'UpdateTaskStatus', { sessionId, updates });
  await bench.dispatcher.stop(true);
  const disconnect = status(Code.ABORTED, 'node must disconnect');
  await assert.rejects(stream.ended, disconnect);
  await assert.rejects(assignments.ended, disconnect);
  assert.deepEqual(bench.node('n1'), { state: DISCONNECTED, message: NODE_MESSAGE.leaving });
  assert.equal(bench.node('n2').state, UNKNOWN);
  const row = bench.store.view((view) => view.tasks.get('t')?.state);
  assert.equal(row, TaskState.RUNNING, 'what was acknowledged is written');
  const late = status(Code.ABORTED, 'dispatcher is stopped');
  await assert.rejects(bench.calls.open('n1', 'Session', {}).ended, late);
});

test('[DSP15] losing leadership while starting or stopping leaves it stopped', async () => {
  await using bench = await Bench.open();
  await bench.register();
  await bench.dispatcher.stop(true);
  bench.log.loseLeadership();
  await assert.rejects(bench.dispatcher.start());
  const refused = status(Code.ABORTED, 'dispatcher is stopped');
  await assert.rejects(bench.calls.open('n1', 'Session', {}).ended, refused);
  bench.log.gainLeadership();
  await bench.dispatcher.start();
  await bench.register();
  bench.log.loseLeadership();
  await bench.dispatcher.stop(true);
  assert.equal(bench.warnings.length, 1);
  assert.equal(MANAGER, bench.managers[0]?.peer?.nodeId);
});
