import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { BUGS, spoil } from './planted.ts';
import { playSeed } from './simulation.ts';

const TOOL = new URL('../../tools/sim.ts', import.meta.url).pathname;
const SEEDS = 300;

/** Seeds that once failed, with what they found. */
const REGRESSIONS: readonly (readonly [seed: bigint, found: string])[] = [
  [599n, 'two changes of one turn shared a version, so that one could undo the other'],
];

for (const [seed, found] of REGRESSIONS) {
  test(`seed ${seed}: ${found}`, async () => {
    const { failure } = await playSeed(seed);
    assert.equal(failure, null);
  });
}

test('many seeds: safe under faults, linearizable, and together again after them', async () => {
  const total = new Map<string, number>();
  for (let seed = 1n; seed <= SEEDS; seed += 1n) {
    const { failure, counts } = await playSeed(seed);
    if (failure !== null) throw new Error(`npm run sim -- --seed ${seed}`, { cause: failure });
    for (const [what, count] of Object.entries(counts)) {
      total.set(what, (total.get(what) ?? 0) + count);
    }
  }
  for (const [what, count] of total) {
    assert.ok(count >= SEEDS / 2, `only ${count} ${what} in ${SEEDS} runs: too little was tried`);
  }
});

async function trace(seed: bigint): Promise<readonly [string, string]> {
  const lines: string[] = [];
  const { digest } = await playSeed(seed, (line) => lines.push(line));
  return [digest, lines.join('\n')];
}

test('the same seed gives the same run, to the byte; another seed another', async () => {
  const first = await trace(7n);
  assert.deepEqual(await trace(7n), first);
  assert.notEqual((await trace(8n))[0], first[0]);
});

async function simulate(...words: readonly string[]): Promise<readonly [number, string]> {
  const child = spawn(process.execPath, [TOOL, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [status]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  assert(typeof status === 'number');
  return [status, said];
}

/** From which seed on a bug is looked for: a little before the one that found it last. */
const FROM: Readonly<Record<string, number>> = {
  'commit-of-an-older-term': 270,
  'shared-version': 590,
};

for (const bug of Object.keys(BUGS)) {
  test(`a planted bug is found within 1,000 seeds: ${bug}`, async () => {
    const range = ['--seeds', '1000', '--from', String(FROM[bug] ?? 1)];
    const [status, said] = await simulate('--plant', bug, ...range, '--until-found');
    assert.equal(status, 1, said);
    assert.match(said, /^failing seeds: \d+$/m);
  });
}

test('canary: a bug that no longer has its place in the code is not planted silently', () => {
  const bug = { file: 'a.ts', right: 'right()', wrong: 'wrong()' };
  assert.equal(spoil('x; right(); y', bug), 'x; wrong(); y');
  assert.throws(() => spoil('x; y', bug), /no place for the bug/);
});
