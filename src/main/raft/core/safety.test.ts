import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Chaos } from './testing/chaos.ts';
import type { ChaosOptions, Fault } from './testing/chaos.ts';

const STEPS = 6_000;
const SEEDS = 40;

function play(seed: bigint, options: ChaosOptions): Chaos {
  const chaos = new Chaos(seed, options);
  try {
    chaos.run(STEPS);
    assert.notEqual(chaos.converges(400), 'stuck', 'the group did not get on without faults');
  } catch (error) {
    throw new Error(`seed ${seed} of ${JSON.stringify(options)}`, { cause: error });
  }
  return chaos;
}

const GROUPS: readonly (readonly [name: string, options: ChaosOptions])[] = [
  ['three members', { size: 3 }],
  ['five members', { size: 5 }],
  ['four with quorum checks', { size: 4, config: { checkQuorum: true } }],
  ['three with pre-vote', { size: 3, config: { preVote: true, checkQuorum: true } }],
  ['five that step down', { size: 5, config: { stepDownOnRemoval: true, forwardProposals: true } }],
];

for (const [name, options] of GROUPS) {
  test(`[RAFT47] ${name}: safe under faults, and alive after them`, () => {
    const total = new Map<string, number>();
    for (let seed = 1n; seed <= SEEDS; seed += 1n) {
      const { counts, committedIndex } = play(seed, options);
      for (const [what, count] of Object.entries({ ...counts, committed: committedIndex })) {
        total.set(what, (total.get(what) ?? 0) + count);
      }
    }
    for (const [what, count] of total) {
      assert.ok(
        count >= SEEDS / 10,
        `only ${count} ${what} in ${SEEDS} runs: too little was tried`,
      );
    }
  });
}

function finds(fault: Fault, seed: bigint): boolean {
  try {
    new Chaos(seed, { size: 3, fault }).run(STEPS);
    return false;
  } catch (error) {
    if (error instanceof assert.AssertionError) return true;
    throw error;
  }
}

for (const fault of ['forgets-hard-state', 'promises-before-storing'] as const) {
  test(`[RAFT48] a shell that ${fault} is found out`, () => {
    const seeds = Array.from({ length: 60 }, (_, at) => BigInt(at));
    assert.ok(
      seeds.some((seed) => finds(fault, seed)),
      'no seed finds it',
    );
  });
}
