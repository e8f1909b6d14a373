/** The broker between clients that read and nodes that publish, on a real store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Node, Task } from '../../shared/wire/gen/objects.ts';
import type { PublishLogsMessage, SubscribeLogsRequest } from '../../shared/wire/gen/logbroker.ts';
import { NodeStatusState, TaskState } from '../../shared/wire/gen/types.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { Calls, status } from '../dispatcher/testing/calls.ts';
import { Code } from '../rpc/errors.ts';
import { openMemoryStore } from '../store/testing/memory-log.ts';
import type { Store } from '../store/transaction.ts';
import { LogBroker } from './broker.ts';

class Bench implements Disposable {
  readonly store: Store;
  readonly broker: LogBroker;
  readonly logs: Calls<'Logs'>;
  readonly nodes: Calls<'LogBroker'>;
  #ids = 0;

  constructor() {
    const newId = (): string => `id${(this.#ids += 1)}`;
    const env = { nowMs: () => 1, randBelow: () => 0, newId };
    this.store = openMemoryStore(env).store;
    this.broker = new LogBroker(this.store, env);
    this.logs = new Calls('Logs', this.broker.implementations);
    this.nodes = new Calls('LogBroker', this.broker.implementations);
    this.broker.start();
  }

  [Symbol.dispose](): void {
    this.broker.stop();
  }

  task(id: string, nodeId: string, state: TaskState = TaskState.RUNNING): Promise<void> {
    const task = Task.create({ id, nodeId, serviceId: 'web', status: { state } });
    return this.store.update((tx) => tx.tasks.create(task));
  }

  subscribe(selector: Init<SubscribeLogsRequest>['selector'], follow = false) {
    const request = { options: { follow }, ...(selector === undefined ? {} : { selector }) };
    return this.logs.open('client', 'SubscribeLogs', request);
  }

  listen(nodeId: string) {
    return this.nodes.open(nodeId, 'ListenSubscriptions', {});
  }

  publish(nodeId: string, messages: readonly Init<PublishLogsMessage>[]): Promise<unknown> {
    async function* requests(): AsyncGenerator<Init<PublishLogsMessage>, void> {
      yield* messages;
    }
    return this.nodes.send(nodeId, 'PublishLogs', requests());
  }
}

const line = (subscriptionId: string, nodeId: string, text: string): Init<PublishLogsMessage> => ({
  subscriptionId,
  messages: [{ context: { nodeId, serviceId: 'web', taskId: 't' }, data: Buffer.from(text) }],
});
const done = (subscriptionId: string): Init<PublishLogsMessage> => ({
  subscriptionId,
  close: true,
});

test('[LOGB5] a node is asked, publishes, and is told when the subscription is over', async () => {
  using bench = new Bench();
  await bench.task('a', 'n1');
  await bench.task('b', 'n2');
  const listeners = [bench.listen('n1'), bench.listen('n2')];
  const idle = bench.listen('n3');
  const client = bench.subscribe({ serviceIds: ['web'] });
  for (const [i, listener] of listeners.entries()) {
    const { id, close, selector, options } = await listener.next();
    assert.deepEqual([close, selector?.serviceIds, options?.follow], [false, ['web'], false]);
    const node = `n${i + 1}`;
    assert.equal(await bench.publish(node, [line(id, node, `from ${node}`), done(id)]), undefined);
  }
  await client.ended;
  const texts = client.messages.flatMap((m) =>
    m.messages.map((l) => Buffer.from(l.data).toString()),
  );
  assert.deepEqual(texts, ['from n1', 'from n2']);
  for (const listener of listeners) assert.equal((await listener.next()).close, true);
  assert.equal(idle.messages.length, 0);
});

test('[LOGB5] a node that listens later hears what concerns it, and is not asked twice', async () => {
  using bench = new Bench();
  await bench.task('a', 'n1');
  await bench.task('b', 'n2');
  const first = bench.listen('n1');
  const second = bench.listen('n2');
  const client = bench.subscribe({ serviceIds: ['web'] });
  const { id } = await first.next();
  await bench.publish('n1', [done(id)]);
  const again = bench.listen('n1');
  const other = bench.listen('n2');
  assert.equal((await other.next()).id, id, 'n2 has not sent anything yet');
  await second.cancel();
  await bench.publish('n2', [done(id)]);
  await client.ended;
  assert.equal((await again.next()).close, true, 'n1 was through: it only hears of the end');
});

test('[LOGB5] following takes in nodes of later tasks until the client goes', async () => {
  using bench = new Bench();
  const listener = bench.listen('n1');
  const late = bench.listen('n2');
  await bench.task('a', 'n1', TaskState.ASSIGNED);
  const client = bench.subscribe({ serviceIds: ['web'] }, true);
  const { id } = await listener.next();
  await bench.task('b', 'n2', TaskState.ASSIGNED);
  assert.equal((await late.next()).id, id);
  await bench.publish('n2', [line(id, 'n2', 'x'), done(id)]);
  assert.equal((await client.next()).messages.length, 1);
  await listener.cancel();
  const back = bench.listen('n1');
  assert.equal((await back.next()).id, id, 'a node that comes back goes on');
  await client.cancel();
  assert.deepEqual([(await back.next()).close, (await late.next()).close], [true, true]);
  await assert.rejects(
    bench.publish('n1', [line(id, 'n1', 'too late')]),
    status(Code.NOT_FOUND, 'unknown subscription ID'),
  );
});

test('[LOGB2] who is not there, goes away or is DOWN is named at the end', async () => {
  using bench = new Bench();
  await bench.store.update((tx) => tx.nodes.create(Node.create({ id: 'n3' })));
  for (const n of [1, 2, 3]) await bench.task(`t${n}`, `n${n}`);
  await bench.task('unplaced', '', TaskState.PENDING);
  const leaving = bench.listen('n2');
  const dying = bench.listen('n3');
  const client = bench.subscribe({ serviceIds: ['web'], taskIds: ['unplaced'] });
  await leaving.next();
  await dying.next();
  await leaving.cancel();
  await bench.store.update((tx) => {
    const node = tx.nodes.get('n3');
    if (node === undefined) return;
    tx.nodes.update({ ...node, status: { ...node.status, state: NodeStatusState.DOWN } });
  });
  const reasons = [
    'task unplaced has not been scheduled',
    'node n1 is not available',
    'node n2 disconnected unexpectedly',
    'node n3 is not available',
  ];
  await assert.rejects(client.ended, (error: unknown) => {
    assert.ok(error instanceof Error);
    const [text, list = ''] = error.message.split('following reasons: ');
    assert.equal(text, 'warning: incomplete log stream. some logs could not be retrieved for the ');
    assert.deepEqual(list.split(', ').toSorted(), reasons.toSorted());
    return true;
  });
});

test('[LOGB6] a node speaks for itself only, for one subscription a call', async () => {
  using bench = new Bench();
  await bench.task('a', 'n1');
  const listener = bench.listen('n1');
  const client = bench.subscribe({ serviceIds: ['web'] }, true);
  const { id } = await listener.next();
  const refused = async (messages: Init<PublishLogsMessage>[], code: Code, text: string) =>
    assert.rejects(bench.publish('n1', messages), status(code, text));
  await refused([line('', 'n1', 'x')], Code.INVALID_ARGUMENT, 'missing subscription ID');
  await refused([line('other', 'n1', 'x')], Code.NOT_FOUND, 'unknown subscription ID');
  await refused(
    [line(id, 'n1', 'x'), line('other', 'n1', 'x')],
    Code.INVALID_ARGUMENT,
    'different subscription IDs in the same session',
  );
  const text = 'invalid NodeID: expected=n1;received=n2';
  await refused([line(id, 'n2', 'x')], Code.PERMISSION_DENIED, text);
  assert.equal(client.messages.length, 1, 'only what was in order has passed');
});

const invalid = (text: string) => status(Code.INVALID_ARGUMENT, text);

test('a call without a selector, and a broker that does not run', async () => {
  using bench = new Bench();
  const none = bench.subscribe(undefined);
  await assert.rejects(none.ended, invalid('log selector must be provided'));
  await assert.rejects(bench.subscribe({}).ended, invalid('log selector must not be empty'));
  const listener = bench.listen('n1');
  const client = bench.subscribe({ nodeIds: ['n1'] }, true);
  await listener.next();
  bench.broker.stop();
  const stopped = status(Code.ABORTED, 'broker is not running');
  await assert.rejects(listener.ended, stopped);
  await assert.rejects(client.ended, stopped);
  await assert.rejects(bench.listen('n1').ended, stopped);
  await assert.rejects(bench.publish('n1', []), stopped);
});

test('[LOGB4] nodes of a selector are waited for; what they say passes at the client’s pace', async () => {
  using bench = new Bench();
  const listener = bench.listen('n1');
  const client = bench.subscribe({ nodeIds: ['n1'] });
  const { id } = await listener.next();
  client.stall();
  let sent = 0;
  async function* requests(): AsyncGenerator<Init<PublishLogsMessage>, void> {
    for (; sent < 3; sent += 1) yield line(id, 'n1', `line ${sent}`);
    yield done(id);
  }
  const publishing = bench.nodes.send('n1', 'PublishLogs', requests());
  await client.next();
  await new Promise<void>((resolve) => void setImmediate(resolve));
  assert.equal(sent, 0, 'the second line waits until the first has gone');
  client.resume();
  await publishing;
  await client.ended;
  assert.equal(client.messages.length, 3);
});
