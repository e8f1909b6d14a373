import assert from 'node:assert/strict';
import { test } from 'node:test';
import { beside, startAll, type Stage } from './stages.ts';

const GOES_ON = new AbortController().signal;

const stage = (log: string[], name: string, fails = false): Stage => ({
  name,
  start() {
    if (fails) throw new Error(`${name} fails`);
    log.push(`+${name}`);
  },
  async stop() {
    log.push(`-${name}`);
  },
});

test('[MGR1] what starts in order stops in reverse', async () => {
  const log: string[] = [];
  {
    await using all = await startAll([stage(log, 'a'), stage(log, 'b')], GOES_ON);
    assert.ok(all);
  }
  assert.deepEqual(log, ['+a', '+b', '-b', '-a']);
});

test('[MGR1] a failed start undoes the earlier ones', async () => {
  const log: string[] = [];
  await assert.rejects(
    startAll([stage(log, 'a'), stage(log, 'b', true), stage(log, 'c')], GOES_ON),
    /b fails/,
  );
  assert.deepEqual(log, ['+a', '-a']);
});

test('[MGR1] parts beside each other start at once, and are one stage among others', async () => {
  const log: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  const slow: Stage = { ...stage(log, 'slow'), start: () => promise };
  const quick: Stage = { ...stage(log, 'quick'), start: () => resolve() };
  {
    // The first is up only once the second is.
    await using all = await startAll(
      [stage(log, 'a'), beside([slow, quick]), stage(log, 'b')],
      GOES_ON,
    );
    assert.ok(all);
  }
  const atOnce = log.splice(3, 2);
  assert.deepEqual(new Set(atOnce), new Set(['-quick', '-slow']));
  assert.deepEqual(log, ['+a', '+b', '-b', '-a']);
});

test('[MGR1] when one of two beside each other fails, the other is stopped once it is up', async () => {
  const log: string[] = [];
  const together = beside([stage(log, 'b', true), stage(log, 'c')]);
  await assert.rejects(startAll([stage(log, 'a'), together], GOES_ON), /b fails/);
  assert.deepEqual(log, ['+a', '+c', '-c', '-a']);
});

test('[MGR1] what is over before all has started starts no further, and undoes the earlier ones', async () => {
  const log: string[] = [];
  const over = new AbortController();
  const ends: Stage = { ...stage(log, 'b'), start: () => over.abort(new Error('over')) };
  await assert.rejects(startAll([stage(log, 'a'), ends, stage(log, 'c')], over.signal), /over/);
  assert.deepEqual(log.splice(0), ['+a', '-b', '-a']);
  const late = new AbortController();
  const last: Stage = { ...stage(log, 'b'), start: () => late.abort(new Error('late')) };
  await assert.rejects(startAll([stage(log, 'a'), last], late.signal), /late/);
  assert.deepEqual(log, ['+a', '-b', '-a']);
});
