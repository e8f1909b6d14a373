import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Candidate, type Handover, handOver, successor } from './handover.ts';

const candidate = (raftId: bigint, lag: number, reachedSinceMs?: number): Candidate => ({
  raftId,
  lag,
  reachedSinceMs,
});

test('the successor is reached, caught up, and has been reached for longest', () => {
  assert.equal(successor([]), undefined);
  assert.equal(successor([candidate(2n, 0)]), undefined);
  assert.equal(successor([candidate(2n, 0), candidate(3n, 5000, 1)]), 3n);
  assert.equal(successor([candidate(2n, 5000, 1), candidate(3n, 3, 9)]), 3n);
  assert.equal(
    successor([candidate(2n, 0, 8), candidate(3n, 3, 2)]),
    3n,
    'three entries are nothing',
  );
});

function handover(options: Partial<Handover>): Handover {
  return {
    leading: () => true,
    candidates: () => [candidate(2n, 0, 1)],
    transfer: () => undefined,
    pollMs: 1,
    attemptMs: 5,
    timeoutMs: 10_000,
    signal: new AbortController().signal,
    ...options,
  };
}

test('the wish is told again until another leads', async () => {
  const told: bigint[] = [];
  await handOver(
    handover({ leading: () => told.length < 3, transfer: (to) => void told.push(to) }),
  );
  assert.deepEqual(told, [2n, 2n, 2n]);
});

test('a handover ends in words when nobody can or does take over', async () => {
  await assert.rejects(
    handOver(handover({ candidates: () => [] })),
    /^Error: failed to get longest-active member$/,
  );
  await assert.rejects(handOver(handover({ timeoutMs: 5 })), /was not taken over in time$/);
  await assert.rejects(handOver(handover({ signal: AbortSignal.abort() })), { name: 'AbortError' });
});
