import assert from 'node:assert/strict';
import { test } from 'node:test';
import { HeardTime } from './heard-time.ts';
import { Registry } from './registry.ts';

/** Ticks until `registry` gives up somebody, at most for ten minutes; the milliseconds that took. */
function untilGivenUp(registry: Registry, tickMs: number, callersWait: boolean): number {
  const heard = new HeardTime();
  for (let nowMs = tickMs; nowMs < 600_000; nowMs += tickMs) {
    heard.tick(tickMs, callersWait);
    const { lost, missing } = registry.expire(heard.at(nowMs));
    if (lost.length + missing.length > 0) return nowMs;
  }
  return Infinity;
}

function silent(): Registry {
  const registry = new Registry();
  registry.register('a', 's', 0);
  return registry;
}

test('[DSP16] a manager that hears everybody counts all time', () => {
  assert.equal(untilGivenUp(silent(), 250, false), 15_000);
  assert.equal(untilGivenUp(silent(), 500, false), 15_000);
});

test('[DSP16] of the time that the thread was blocked only half a second counts', () => {
  assert.equal(untilGivenUp(silent(), 2000, false), 60_000);
});

test('[DSP16] while callers wait, or the thread hardly gets on, a tenth counts', () => {
  assert.equal(untilGivenUp(silent(), 250, true), 150_000);
  assert.equal(untilGivenUp(silent(), 10_000, false), 150_000);
});

test('[DSP16] a node awaited after a change of leader keeps its longer grace', () => {
  const registry = new Registry();
  registry.expect('a', 0);
  assert.equal(untilGivenUp(registry, 250, false), 30_000);
  registry.expect('b', 0);
  assert.equal(untilGivenUp(registry, 250, true), 300_000);
});

test('[DSP6] a manager is behind once callers have waited for a second without a pause', () => {
  const heard = new HeardTime();
  const after = (callersWait: boolean): boolean => {
    heard.tick(250, callersWait);
    return heard.isBehind;
  };
  assert.deepEqual([true, true, true, true, true].map(after), [false, false, false, true, true]);
  assert.deepEqual([false, true, true, true, true].map(after), [false, false, false, false, true]);
});
