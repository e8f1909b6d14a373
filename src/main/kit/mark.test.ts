import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Mark } from './mark.ts';

const never = new AbortController().signal;

test('many sets are one wake-up', async () => {
  const mark = new Mark();
  mark.set();
  mark.set();
  await mark.next(never);
  let woken = false;
  const next = (async (): Promise<void> => {
    await mark.next(never);
    woken = true;
  })();
  await new Promise((resolve) => void setImmediate(resolve));
  assert.equal(woken, false);
  mark.set();
  await next;
  assert.equal(woken, true);
});

test('a failure ends the wait and every later one', async () => {
  const mark = new Mark();
  const next = mark.next(never);
  mark.fail(new Error('over'));
  mark.fail(new Error('too late'));
  await assert.rejects(next, /over/);
  mark.set();
  await assert.rejects(mark.next(never), /over/);
});

test('an aborted signal ends the wait', async () => {
  const controller = new AbortController();
  const mark = new Mark();
  const next = mark.next(controller.signal);
  controller.abort(new Error('gone'));
  await assert.rejects(next, /gone/);
});
