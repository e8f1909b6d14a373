/**
 * A short chaos run: a few kills of the leader under load, a cut in both directions, one in one, and a
 * leader that stands still. The long one is `npm run chaos`. `SKEIN_SEED` gives a run its moments back.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chaosRun } from '../chaos/run.ts';
import { whyNoCuts } from '../support/cuts.ts';
import { Undo } from '../support/undo.ts';

const KILLS = 3;

test('managers that are killed and cut off lose, repeat and forget nothing', async (t) => {
  const seed = BigInt(process.env['SKEIN_SEED'] ?? Date.now());
  t.diagnostic(`SKEIN_SEED=${seed}`);
  const noCuts = whyNoCuts();
  if (noCuts !== undefined) t.diagnostic(`no network is cut: ${noCuts}`);
  const faults = noCuts === undefined ? ['leader alone', 'leader only sends'] : [];
  using undo = new Undo();
  const report = await chaosRun({
    undo,
    seed,
    workers: 40,
    kills: KILLS,
    killEveryMs: 8000,
    faults: [...faults, 'leader stands still'],
    faultMs: { min: 3000, max: 5000 },
    onTold: (told) => t.diagnostic(JSON.stringify(told)),
  });
  assert.deepEqual(report.wrong, []);
  const counts = Object.values(report.phases);
  assert.ok(
    counts.every(({ writes, reads }) => writes > 0 && reads > 0),
    'there was load all the time',
  );
  assert.equal(report.kills.length, KILLS);
  const { operations, taskLooks, serviceChanges } = report;
  assert.ok(taskLooks > 0 && serviceChanges > 0);
  t.diagnostic(`${operations} operations were judged`);
});
