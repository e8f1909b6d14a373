import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startAll, type Stage } from './stages.ts';

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
    await using all = await startAll([stage(log, 'a'), stage(log, 'b')]);
    assert.ok(all);
  }
  assert.deepEqual(log, ['+a', '+b', '-b', '-a']);
});

test('[MGR1] a failed start undoes the earlier ones', async () => {
  const log: string[] = [];
  await assert.rejects(
    startAll([stage(log, 'a'), stage(log, 'b', true), stage(log, 'c')]),
    /b fails/,
  );
  assert.deepEqual(log, ['+a', '-a']);
});
