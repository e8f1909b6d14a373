import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Bites, type Work } from './bites.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

function* count(log: string[], name: string, to: number): Work {
  for (let i = 1; i <= to; i += 1) {
    log.push(`${name}${i}`);
    yield;
  }
}

function* slow(): Work {
  for (let i = 0; i < 5; i += 1) {
    const until = performance.now() + 5;
    while (performance.now() < until);
    yield;
  }
}

function* broken(): Work {
  yield;
  throw new Error('broken');
}

test('work runs in order, to its end, and never in the turn that adds it', async () => {
  const log: string[] = [];
  const bites = new Bites(assert.ifError);
  bites.add(count(log, 'a', 3));
  bites.add(count(log, 'b', 2));
  assert.deepEqual(log, []);
  while (!bites.idle) await turn();
  assert.deepEqual(log, ['a1', 'a2', 'a3', 'b1', 'b2']);
});

test('other turns run between bites', async () => {
  const bites = new Bites(assert.ifError);
  let turns = 0;
  bites.add(slow());
  while (!bites.idle) {
    await turn();
    turns += 1;
  }
  assert.ok(turns >= 4, String(turns));
});

test('a failure is told and the next piece goes on', async () => {
  const errors: unknown[] = [];
  const log: string[] = [];
  const bites = new Bites((error) => errors.push(error));
  bites.add(broken());
  bites.add(count(log, 'a', 1));
  while (!bites.idle) await turn();
  assert.equal(errors.length, 1);
  assert.deepEqual(log, ['a1']);
});

test('after stop nothing runs', async () => {
  const log: string[] = [];
  const bites = new Bites(assert.ifError);
  bites.add(count(log, 'a', 3));
  bites.stop();
  bites.add(count(log, 'b', 3));
  await turn();
  await turn();
  assert.deepEqual(log, []);
});

test('work that waits for something goes on when that is settled, and what comes after it too', async () => {
  const errors: unknown[] = [];
  const log: string[] = [];
  const bites = new Bites((error) => errors.push(error));
  const gates = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  function* waiting(): Work {
    for (const gate of gates) {
      yield gate.promise;
      log.push('on');
    }
  }
  bites.add(waiting());
  bites.add(count(log, 'a', 1));
  for (let i = 0; i < 5; i += 1) await turn();
  assert.deepEqual(log, []);
  gates[0]?.resolve();
  for (let i = 0; i < 5; i += 1) await turn();
  assert.deepEqual(log, ['on']);
  gates[1]?.reject(new Error('broken'));
  while (!bites.idle) await turn();
  assert.deepEqual(log, ['on', 'on', 'a1']);
  assert.equal(errors.length, 1);
});
