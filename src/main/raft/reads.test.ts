import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Reads } from './reads.ts';

const FOR_EVER = new AbortController().signal;

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Requests that were sent, and reads that were answered, by name in order. */
function bench() {
  const asked: Uint8Array[] = [];
  const answered: string[] = [];
  const reads = new Reads({
    raftId: () => 7n,
    firstRequest: 100n,
    retryTicks: 2,
    ask: (context) => asked.push(context),
  });
  const read = (name: string): void => {
    void reads.wait(FOR_EVER).then(() => answered.push(name));
  };
  const grant = (request: number, index: number): void => {
    reads.grant(asked[request] ?? assert.fail(), index);
  };
  return { reads, asked, answered, read, grant };
}

test('reads that begin before a request leaves share it, and later ones share the next', async () => {
  const { reads, asked, answered, read, grant } = bench();
  assert.equal(reads.due, false);
  read('a');
  read('b');
  assert.equal(reads.due, true);
  reads.ask();
  read('c');
  reads.ask();
  assert.equal(asked.length, 1);
  reads.applied(5);
  grant(0, 5);
  reads.ask();
  reads.applied(5);
  await turn();
  assert.deepEqual(answered, ['a', 'b']);
  read('d');
  grant(1, 7);
  reads.applied(6);
  await turn();
  assert.deepEqual(answered, ['a', 'b']);
  reads.applied(8);
  await turn();
  assert.deepEqual(answered, ['a', 'b', 'c']);
  assert.equal(reads.due, true);
});

test('a request without an answer is followed by another, and either may be answered', async () => {
  const { reads, asked, answered, read, grant } = bench();
  read('a');
  reads.ask();
  reads.tick();
  read('b');
  reads.tick();
  assert.equal(asked.length, 2);
  grant(0, 1);
  reads.applied(1);
  await turn();
  assert.deepEqual(answered, ['a']);
  reads.tick();
  reads.tick();
  assert.equal(asked.length, 3);
  grant(2, 2);
  reads.applied(2);
  await turn();
  assert.deepEqual(answered, ['a', 'b']);
  // Nobody waits: nobody is asked.
  for (let ticks = 0; ticks < 9; ticks += 1) reads.tick();
  reads.askAgain();
  reads.ask();
  assert.equal(asked.length, 3);
});

test('answers to others, and to other lives of this member, are not heeded', async () => {
  const { reads, answered, read } = bench();
  read('a');
  reads.ask();
  const other = new Reads({
    raftId: () => 8n,
    firstRequest: 100n,
    retryTicks: 2,
    ask: (context) => reads.grant(context, 0),
  });
  void other.wait(FOR_EVER);
  other.ask();
  reads.grant(new Uint8Array(16).fill(0xff), 0);
  reads.grant(new Uint8Array(), 0);
  const life = new Reads({
    raftId: () => 7n,
    firstRequest: 500n,
    retryTicks: 2,
    ask: (context) => reads.grant(context, 0),
  });
  void life.wait(FOR_EVER);
  life.ask();
  reads.applied(9);
  await turn();
  assert.deepEqual(answered, []);
});

test('whoever gives up holds nobody up', async () => {
  const { reads, asked, answered, read, grant } = bench();
  const gone = new AbortController();
  const given = reads.wait(gone.signal);
  read('b');
  reads.ask();
  gone.abort(new Error('gone'));
  await assert.rejects(given, /gone/);
  grant(0, 3);
  const late = new AbortController();
  const granted = reads.wait(late.signal);
  reads.ask();
  grant(1, 9);
  late.abort(new Error('late'));
  await assert.rejects(granted, /late/);
  reads.applied(9);
  await turn();
  assert.deepEqual([answered, asked.length], [['b'], 2]);
});
