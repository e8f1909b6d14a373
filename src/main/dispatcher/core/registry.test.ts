import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DISPATCHER, Registry } from './registry.ts';

const middle = (limit: number): number => Math.floor(limit / 2);

test('[DSP1] a node that beats stays, one that stops is lost after three periods', () => {
  const registry = new Registry();
  registry.register('a', 's1', 0);
  assert.equal(registry.beat('a', 4000, middle), 5000);
  assert.deepEqual(registry.expire(18_999).lost, []);
  assert.deepEqual(registry.expire(19_000).lost, ['a']);
  assert.equal(registry.check('a', 's1'), 'not-registered');
  assert.deepEqual(registry.expire(19_001), { lost: [], missing: [], orphaned: [] });
});

test('[DSP2] a node unknown after a change of leader has six periods', () => {
  const registry = new Registry();
  registry.expect('a', 0);
  assert.deepEqual(registry.expire(29_999).missing, []);
  assert.deepEqual(registry.expire(30_000).missing, ['a']);
});

test('[DSP2] who leaves a session without a heartbeat is awaited as before, and has three periods otherwise', () => {
  const registry = new Registry();
  for (const node of ['a', 'b', 'c', 'd']) {
    registry.expect(node, 0);
    registry.register(node, `${node}1`, 1000);
  }
  registry.register('n', 'n1', 1000);
  registry.left('a', 'a1');
  registry.beat('b', 1000, () => 0);
  registry.left('b', 'b1');
  registry.left('c', 'another');
  registry.left('n', 'n1');
  assert.deepEqual(registry.expire(16_000).lost, ['b', 'c', 'd', 'n']);
  // It tries again, and leaves again.
  registry.register('a', 'a2', 14_000);
  registry.left('a', 'a2');
  assert.deepEqual(registry.expire(29_999).lost, []);
  assert.deepEqual(registry.expire(30_000).lost, ['a']);
});

test('[DSP2] who leaves a session late keeps the three periods from its registration', () => {
  const registry = new Registry();
  registry.expect('a', 0);
  registry.register('a', 'a1', 20_000);
  registry.left('a', 'a1');
  assert.deepEqual(registry.expire(34_999).lost, []);
  assert.deepEqual(registry.expire(35_000).lost, ['a']);
});

test('[DSP3] a node down for a day is orphaned, once', () => {
  const registry = new Registry();
  registry.down('a', 0);
  assert.deepEqual(registry.expire(DISPATCHER.orphanAfterMs - 1).orphaned, []);
  assert.deepEqual(registry.expire(DISPATCHER.orphanAfterMs).orphaned, ['a']);
  assert.deepEqual(registry.expire(2 * DISPATCHER.orphanAfterMs).orphaned, []);
});

test('[DSP4] the fourth registration within eight seconds of the last is refused', () => {
  const registry = new Registry();
  const tries = [0, 7000, 14_000, 21_000, 22_000].map((at) => registry.admit('a', at).ok);
  assert.deepEqual(tries, [true, true, true, false, false]);
  // However often it was refused meanwhile.
  assert.equal(registry.admit('a', 22_001).ok, true);
  assert.equal(registry.admit('b', 21_000).ok, true);
});

test('[DSP5] a new registration ends the old session', () => {
  const registry = new Registry();
  assert.equal(registry.check('a', ''), 'not-registered');
  registry.register('a', 's1', 0);
  registry.register('a', 's2', 1);
  assert.equal(registry.check('a', 's1'), 'session-invalid');
  assert.equal(registry.check('a', 's2'), 'ok');
  assert.deepEqual(registry.registered(), ['a']);
});

test('[DSP6] each answer picks a period within half a second of the cluster’s', () => {
  const registry = new Registry();
  registry.register('a', 's', 0);
  assert.equal(
    registry.beat('a', 0, () => 0),
    4500,
  );
  assert.equal(
    registry.beat('a', 0, (limit) => limit - 1),
    5500,
  );
  registry.setPeriod(1000);
  assert.equal(
    registry.beat('a', 0, () => 0),
    900,
  );
  assert.deepEqual(registry.expire(3000).lost, ['a']);
});

test('[DSP1] a deadline that a later answer brings forward is not passed over', () => {
  const registry = new Registry();
  registry.register('a', 's1', 0);
  registry.beat('a', 1000, middle, 2);
  assert.deepEqual(registry.expire(30_999).lost, []);
  registry.beat('a', 2000, middle);
  assert.deepEqual(registry.expire(16_999).lost, []);
  assert.deepEqual(registry.expire(17_000).lost, ['a']);
});
