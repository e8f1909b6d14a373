/** What a node is sent, and that it is sent when it must be and not otherwise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AssignmentsMessageType } from '../../shared/wire/gen/dispatcher.ts';
import { Task } from '../../shared/wire/gen/objects.ts';
import { TaskState, TaskStatus } from '../../shared/wire/gen/types.ts';
import { Bench, changesOf, needing } from './testing/bench.ts';

const { COMPLETE, INCREMENTAL } = AssignmentsMessageType;

async function open(bench: Bench, nodeId = 'n1') {
  const { sessionId } = await bench.register(nodeId);
  const inbox = bench.assignments(sessionId, nodeId);
  return { sessionId, inbox, first: await inbox.next() };
}

const running = { status: TaskStatus.create({ state: TaskState.RUNNING }) };

test('[DSP7] the first message is complete, even when empty, and the others chain', async () => {
  await using bench = await Bench.open();
  const { inbox, first } = await open(bench);
  assert.deepEqual(
    [first.type, first.appliesTo, first.resultsIn, first.changes],
    [COMPLETE, '', '1', []],
  );
  for (const [i, id] of ['a', 'b', 'c'].entries()) {
    await bench.createTask(id);
    const next = await inbox.next();
    assert.deepEqual(
      [next.type, next.appliesTo, next.resultsIn, changesOf(next)],
      [INCREMENTAL, String(i + 1), String(i + 2), [`update task/${id}`]],
    );
  }
});

test('[DSP7] what changes within a window goes as one, and nothing is sent for nothing', async () => {
  await using bench = await Bench.open(['n1', 'n2']);
  const { inbox } = await open(bench);
  await bench.createTask('gone');
  await bench.write((tx) => tx.tasks.remove('gone'));
  await bench.createTask('other', { nodeId: 'n2' });
  await bench.createTask('early', { status: { state: TaskState.PENDING } });
  for (const id of ['a', 'b', 'c']) await bench.createTask(id);
  const message = await inbox.next();
  assert.deepEqual(changesOf(message), ['update task/a', 'update task/b', 'update task/c']);
  assert.equal(message.resultsIn, '2');
});

test('[DSP7] 12,000 tasks come in pieces, but for the first message, which has them all', async () => {
  await using bench = await Bench.open();
  const { inbox } = await open(bench);
  const count = 12_000;
  await bench.write((tx) => {
    for (let i = 0; i < count; i += 1) {
      const status = { state: TaskState.ASSIGNED };
      tx.tasks.create(Task.create({ id: `t${i}`, nodeId: 'n1', serviceId: 's', status }));
    }
  });
  const told: string[] = [];
  for (let sequence = 1; told.length < count; sequence += 1) {
    const message = await inbox.next();
    assert.deepEqual(
      [message.type, message.appliesTo, message.resultsIn],
      [INCREMENTAL, String(sequence), String(sequence + 1)],
    );
    assert.ok(message.changes.length <= 1000, `${message.changes.length} changes in one message`);
    told.push(...changesOf(message));
  }
  assert.equal(new Set(told).size, count);
  const { first } = await open(bench);
  assert.deepEqual([first.type, first.changes.length], [COMPLETE, count]);
});

test('[DSP9] a task is sent whole, with what the store says', async () => {
  await using bench = await Bench.open();
  await bench.createTask('t', { ...needing([], []), slot: 3, annotations: { name: 'web.3' } });
  await bench.createTask('ended', { status: { state: TaskState.FAILED } });
  const { first } = await open(bench);
  const stored = bench.store.view((view) => view.tasks.get('t')?.toTask());
  assert.deepEqual(changesOf(first).toSorted(), ['update task/ended', 'update task/t']);
  const sent = first.changes.flatMap(({ assignment }) =>
    assignment?.item?.case === 'task' && assignment.item.value.id === 't'
      ? assignment.item.value
      : [],
  );
  assert.deepEqual(
    sent.map((task) => Task.encode(task)),
    stored === undefined ? [] : [Task.encode(stored)],
  );
});

test('[DSP9] a status alone is not sent, a desired state is, a deletion is an id', async () => {
  await using bench = await Bench.open();
  const { inbox } = await open(bench);
  await bench.createTask('t', { annotations: { name: 'web.1' } });
  await inbox.next();
  await bench.patchTask('t', { status: TaskStatus.create({ state: TaskState.STARTING }) });
  await bench.patchTask('t', running);
  await bench.patchTask('t', { desiredState: TaskState.SHUTDOWN });
  const update = await inbox.next();
  assert.deepEqual([update.resultsIn, changesOf(update)], ['3', ['update task/t']]);
  await bench.patchTask('t', { status: TaskStatus.create({ state: TaskState.SHUTDOWN }) });
  await bench.write((tx) => tx.tasks.remove('t'));
  const removal = await inbox.next();
  assert.deepEqual([removal.resultsIn, changesOf(removal)], ['4', ['remove task/t']]);
  const item = removal.changes[0]?.assignment?.item;
  assert.deepEqual(item?.value, Task.create({ id: 't' }));
});

test('[DSP9] a task that is placed later, or changed while ASSIGNED, is sent', async () => {
  await using bench = await Bench.open();
  const { inbox } = await open(bench);
  await bench.createTask('t', { nodeId: '', status: { state: TaskState.PENDING } });
  await bench.patchTask('t', { nodeId: 'n1', state: TaskState.ASSIGNED });
  assert.deepEqual(changesOf(await inbox.next()), ['update task/t']);
  await bench.patchTask('t', { message: 'still waiting' });
  assert.deepEqual(changesOf(await inbox.next()), ['update task/t']);
});

test('[DSP8] secrets and configs come before their first task and go after their last', async () => {
  await using bench = await Bench.open();
  for (const id of ['s1', 's2']) await bench.createSecret(id);
  await bench.createConfig('c1');
  await bench.createTask('a', needing(['s1'], ['c1']));
  const { inbox, first } = await open(bench);
  assert.deepEqual(changesOf(first), ['update secret/s1', 'update config/c1', 'update task/a']);
  const secret = first.changes[0]?.assignment?.item;
  assert.equal(secret?.case, 'secret');
  assert.equal(Buffer.from(secret.value.spec.data).toString(), 's1');
  await bench.createTask('b', needing(['s1', 's2'], []));
  assert.deepEqual(changesOf(await inbox.next()), ['update secret/s2', 'update task/b']);
  await bench.patchTask('a', { status: TaskStatus.create({ state: TaskState.FAILED }) });
  assert.deepEqual(changesOf(await inbox.next()), ['remove config/c1'], 'the status is no news');
  await bench.write((tx) => tx.tasks.remove('b'));
  assert.deepEqual(changesOf(await inbox.next()).toSorted(), [
    'remove secret/s1',
    'remove secret/s2',
    'remove task/b',
  ]);
});

test('[DSP8] a task that has ended takes no secret with it; references count as needs', async () => {
  await using bench = await Bench.open();
  for (const id of ['s1', 's2']) await bench.createSecret(id);
  await bench.createTask('over', { ...needing(['s1'], []), status: { state: TaskState.COMPLETE } });
  const resourceReferences = [{ resourceId: 's2', resourceType: 1 }] as const;
  await bench.createTask('plugin', { spec: { resourceReferences } });
  await bench.createTask('lost', needing(['no such secret'], []));
  const { first } = await open(bench);
  assert.deepEqual(changesOf(first).toSorted(), [
    'update secret/s2',
    'update task/lost',
    'update task/over',
    'update task/plugin',
  ]);
});

test('[DSP7] two streams of one node have a chain each', async () => {
  await using bench = await Bench.open();
  const { sessionId, inbox } = await open(bench);
  await bench.createTask('a');
  await inbox.next();
  const second = bench.assignments(sessionId);
  const first = await second.next();
  assert.deepEqual([first.type, changesOf(first)], [COMPLETE, ['update task/a']]);
  await bench.createTask('b');
  const [one, two] = [await inbox.next(), await second.next()];
  assert.deepEqual([one.resultsIn, two.resultsIn], ['3', '2']);
  await inbox.cancel();
  await bench.createTask('c');
  assert.deepEqual(changesOf(await second.next()), ['update task/c']);
});

test('[DSP7] a slow reader gets the newest state, however much happened meanwhile', async () => {
  await using bench = await Bench.open();
  const { inbox } = await open(bench);
  inbox.stall();
  await bench.createTask('first');
  await inbox.next();
  for (let i = 0; i < 300; i += 1) await bench.createTask(`t${i}`);
  for (let i = 0; i < 300; i += 1) {
    if (i < 299) await bench.write((tx) => tx.tasks.remove(`t${i}`));
    else await bench.patchTask(`t${i}`, { desiredState: TaskState.SHUTDOWN });
  }
  assert.equal(inbox.unread, 0);
  inbox.resume();
  const message = await inbox.next();
  assert.deepEqual([message.resultsIn, changesOf(message)], ['3', ['update task/t299']]);
});

test('agents of old hear all their tasks at each change', async () => {
  await using bench = await Bench.open();
  await bench.createTask('a');
  await bench.createTask('early', { status: { state: TaskState.PENDING } });
  const { sessionId } = await bench.register();
  const inbox = bench.calls.open('n1', 'Tasks', { sessionId });
  const ids = async (): Promise<string[]> => (await inbox.next()).tasks.map((task) => task.id);
  assert.deepEqual(await ids(), ['a']);
  await bench.createTask('b');
  assert.deepEqual((await ids()).toSorted(), ['a', 'b']);
  await bench.write((tx) => tx.tasks.remove('a'));
  assert.deepEqual(await ids(), ['b']);
});
