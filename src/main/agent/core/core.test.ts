import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Backoff, BACKOFF } from './backoff.ts';
import { Remotes } from './remotes.ts';

const peer = (n: number): { nodeId: string; addr: string } => ({
  nodeId: `n${n}`,
  addr: `h${n}:1`,
});

test('[AGT1] delays grow to eight seconds and start over after a success', () => {
  const backoff = new Backoff();
  const bounds: number[] = [];
  const most = (limit: number): number => {
    bounds.push(limit);
    return limit - 1;
  };
  for (let i = 0; i < 9; i += 1) backoff.next(most);
  assert.deepEqual(bounds, [100, 300, 700, 1500, 3100, 6300, 8000, 8000, 8000]);
  assert.equal(BACKOFF.maxMs, 8000);
  backoff.reset();
  assert.equal(backoff.next(most), 99);
});

test('[AGT2] a manager that failed is seldom chosen, but can be when it is alone', () => {
  const remotes = new Remotes([peer(1), peer(2)]);
  for (let i = 0; i < 5; i += 1) remotes.observeIfKnown('h1:1', -10);
  const chosen = new Set([0, 0.3, 0.6, 0.99].map((at) => remotes.select(() => at)?.nodeId));
  assert.deepEqual([...chosen].includes('n2'), true);
  assert.equal(remotes.select(() => 0.5)?.nodeId, 'n2');
  remotes.keep(new Set(['h1:1']));
  assert.equal(remotes.select(() => 0.99)?.nodeId, 'n1');
  assert.equal(
    new Remotes().select(() => 0),
    undefined,
  );
});

test('[AGT2] weights move half way to each observation and stay within bounds', () => {
  const remotes = new Remotes();
  for (let i = 0; i < 50; i += 1) remotes.observe(peer(1), 10_000);
  remotes.observe(peer(2), 10);
  // 256 against 5: the second is chosen in about 2 of 100.
  assert.equal(remotes.select(() => 0.97)?.nodeId, 'n1');
  assert.equal(remotes.select(() => 0.99)?.nodeId, 'n2');
  remotes.observeIfKnown('nobody:1', 10);
  assert.deepEqual(remotes.peers(), [peer(1), peer(2)]);
});

test('[AGT11] what was tried is not tried again before all others', () => {
  const addresses = ['a', 'b', 'c'];
  const remotes = new Remotes(addresses.map((addr) => ({ nodeId: `n-${addr}`, addr })));
  const tried = new Set<string>();
  for (let i = 0; i < addresses.length; i += 1) {
    tried.add(remotes.select(() => 0.5, undefined, tried)?.addr ?? 'none');
  }
  assert.deepEqual([...tried].toSorted(), addresses);
  assert.equal(
    remotes.select(() => 0.5, undefined, tried),
    undefined,
  );
});
