import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { BUGS, spoil } from './planted.ts';

const TOOL = new URL('../../tools/sim.ts', import.meta.url).pathname;

async function simulate(...words: readonly string[]): Promise<readonly [number, string]> {
  const child = spawn(process.execPath, [TOOL, ...words], { stdio: ['ignore', 'pipe', 'inherit'] });
  const [said, [status]] = await Promise.all([text(child.stdout), once(child, 'close')]);
  assert(typeof status === 'number');
  return [status, said];
}

/** From which seed on a bug is looked for: a little before the one that found it last. */
const FROM: Readonly<Record<string, number>> = {
  'vote-before-persist': 350,
  'commit-of-an-older-term': 80,
  'removed-member-still-counted': 140,
};

for (const bug of Object.keys(BUGS)) {
  test(`a planted bug is found within 1,000 seeds, by what becomes of it: ${bug}`, async (t) => {
    const range = ['--seeds', '1000', '--from', String(FROM[bug] ?? 1)];
    const how = ['--until-found', '--only-outcomes'];
    const [status, said] = await simulate('--plant', bug, ...range, ...how);
    assert.equal(status, 1, said);
    assert.match(said, /^failing seeds: \d+$/m);
    t.diagnostic(said.trimEnd());
  });
}

test('canary: a bug that no longer has its place in the code is not planted silently', () => {
  const bug = { file: 'a.ts', changes: [{ right: 'right()', wrong: 'wrong()' }] };
  assert.equal(spoil('x; right(); y', bug), 'x; wrong(); y');
  assert.throws(() => spoil('x; y', bug), /no place for the bug/);
});
