import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { SERVICES } from '../../shared/wire/gen/services.ts';
import { testCluster } from '../ca/testing/identities.ts';
import { silentLog } from '../log.ts';
import { Role } from './authorise.ts';
import { CallLine, isPrompt, TURN_MS } from './call-line.ts';
import { Channel } from './client.ts';
import { listenTcp } from './listener.ts';
import { implement } from './service.ts';

/** A line whose turns come when `turn` is called, with calls that take so long as they are told. */
function setUp() {
  let nowMs = 0;
  let next: (() => void) | undefined;
  const begun: string[] = [];
  const line = new CallLine({
    nowMs: () => nowMs,
    nextTurn: (run) => (next = run),
  });
  const call =
    (name: string, ms: number, within?: () => void): (() => void) =>
    () => {
      begun.push(name);
      nowMs += ms;
      within?.();
    };
  return {
    line,
    add: (name: string, ms: number, prompt = false): void => line.add(call(name, ms), prompt),
    call,
    /** @returns what began in it, and whether another one is asked for */
    turn: (): { readonly begun: string[]; readonly more: boolean } => {
      const run = next;
      next = undefined;
      begun.length = 0;
      run?.();
      return { begun: [...begun], more: next !== undefined };
    },
    begun,
  };
}

describe('calls in line', () => {
  test('a call begins at once, and so do all that fit into the turn', () => {
    const { line, add, begun } = setUp();
    for (const name of ['a', 'b', 'c', 'd']) add(name, TURN_MS / 4);
    assert.deepEqual(begun, ['a', 'b', 'c', 'd']);
    assert.equal(line.size, 0);
  });

  test('when the time of the turn is over, others wait for the next ones, in order', () => {
    const { line, add, begun, turn } = setUp();
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) add(name, TURN_MS / 2);
    assert.deepEqual(begun, ['a', 'b']);
    assert.equal(line.size, 4);
    assert.deepEqual(turn(), { begun: ['c', 'd'], more: true });
    assert.deepEqual(turn(), { begun: ['e', 'f'], more: true });
    assert.deepEqual(turn(), { begun: [], more: false });
  });

  test('who comes later stands behind those that wait, though the turn has time left', () => {
    const { add, begun, turn } = setUp();
    for (const name of ['a', 'b', 'c']) add(name, TURN_MS);
    assert.deepEqual(turn().begun, ['b']);
    add('d', 0);
    assert.deepEqual(begun, ['b']);
    assert.deepEqual(turn().begun, ['c']);
    assert.deepEqual(turn().begun, ['d']);
  });

  test('one that takes longer than a turn is not held back for ever', () => {
    const { add, turn } = setUp();
    for (const name of ['a', 'b', 'c']) add(name, TURN_MS * 5);
    assert.deepEqual(turn().begun, ['b']);
    assert.deepEqual(turn().begun, ['c']);
  });

  test('a prompt call passes the line, and shortens the turn of the others', () => {
    const { add, begun, turn, line } = setUp();
    add('a', TURN_MS);
    add('b', TURN_MS);
    add('beat', TURN_MS / 2, true);
    assert.deepEqual(begun, ['a', 'beat']);
    turn();
    add('beat', TURN_MS, true);
    add('c', 0);
    assert.equal(line.size, 1);
    assert.deepEqual(turn().begun, ['c']);
  });

  test('after a turn in which nothing waited, the next call begins at once', () => {
    const { add, begun, turn } = setUp();
    add('a', TURN_MS);
    assert.deepEqual(turn(), { begun: [], more: false });
    add('b', 1);
    assert.deepEqual(begun, ['b']);
  });

  test('a call that comes while others begin is not lost', () => {
    const { line, add, call, turn } = setUp();
    add('a', TURN_MS);
    line.add(call('b', 1, () => add('c', 1)));
    assert.deepEqual(turn().begun, ['b', 'c']);
    assert.equal(line.size, 0);
  });

  test('heartbeats and the messages of raft are prompt, reports are not', () => {
    assert.ok(isPrompt(SERVICES.Dispatcher.Heartbeat));
    assert.ok(isPrompt(SERVICES.Raft.ProcessRaftMessage));
    assert.ok(!isPrompt(SERVICES.Dispatcher.UpdateTaskStatus));
  });
});

/** A listener whose reports each take more than a turn may, a client of it, and what began. */
async function listenBusily() {
  const cluster = await testCluster();
  const manager = await cluster.member('manager1', Role.MANAGER);
  const worker = await cluster.member('worker1', Role.WORKER);
  const begun: string[] = [];
  const services = [
    implement('Dispatcher', {
      Heartbeat: () => {
        begun.push('beat');
        return { period: { seconds: 5, nanos: 0 } };
      },
      UpdateTaskStatus: ({ sessionId }) => {
        begun.push(sessionId);
        const untilMs = performance.now() + TURN_MS;
        while (performance.now() < untilMs);
        return {};
      },
    }),
  ];
  const { organization } = cluster;
  const policy = { organization, isRemoved: () => false };
  const common = { host: '127.0.0.1', port: 0, credentials: manager, log: silentLog };
  const listener = await listenTcp({ ...common, services, policy });
  const { address } = listener;
  const channel = new Channel({
    to: 'manager',
    address,
    rootPem: worker.rootPem,
    identity: worker,
  });
  return { listener, channel, begun };
}

const NAMES = ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12'];

describe('a listener whose calls wait in line', () => {
  test('answers reports in order and a heartbeat before them', async () => {
    const { listener, channel, begun } = await listenBusily();
    using client = channel;
    const calls = client.service('Dispatcher');
    const reports = NAMES.map((sessionId) => calls.UpdateTaskStatus({ sessionId }));
    await calls.Heartbeat({});
    await Promise.all(reports);
    assert.deepEqual(
      begun.filter((name) => name !== 'beat'),
      NAMES,
    );
    assert.ok(begun.indexOf('beat') < NAMES.length / 2, begun.join(' '));
    await listener.stop();
  });

  test('answers those that wait when it is stopped', async () => {
    const { listener, channel, begun } = await listenBusily();
    using client = channel;
    const calls = client.service('Dispatcher');
    const reports = NAMES.map((sessionId) => calls.UpdateTaskStatus({ sessionId }));
    await reports[0];
    await listener.stop();
    await Promise.all(reports);
    assert.deepEqual(begun, NAMES);
  });
});
