/**
 * `npm run sim -- --seed N` plays one seed of the simulation and shows its trace and digest;
 * `npm run sim -- --seeds COUNT --from N` plays many and shows those that fail. With `--plant BUG` the
 * code has that bug, and with `--until-found` the first failing seed is the last. `--only-outcomes` does
 * not look into managers while they work: a bug then shows only by what becomes of it.
 */
import { parseArgs } from 'node:util';
import { plant } from '../test/sim/planted.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '100' },
    from: { type: 'string', default: '1' },
    quiet: { type: 'boolean', default: false },
    plant: { type: 'string' },
    'only-outcomes': { type: 'boolean', default: false },
    'until-found': { type: 'boolean', default: false },
  },
});

if (values.plant !== undefined) plant(values.plant);
// Only now, so that it is loaded with the bug.
const { playSeed } = await import('../test/sim/simulation.ts');
const judge = values['only-outcomes'] ? 'outcomes' : 'all';

/** What a replay needs besides the seed. */
const flags = [
  values.plant === undefined ? '' : ` --plant ${values.plant}`,
  values['only-outcomes'] ? ' --only-outcomes' : '',
].join('');

async function playOne(seed: bigint): Promise<void> {
  const { digest, counts, failure } = await playSeed(
    seed,
    values.quiet ? undefined : console.log,
    judge,
  );
  console.log(counts);
  if (failure !== null) console.log(failure);
  console.log(`seed ${seed}: ${failure === null ? 'ok' : 'FAILED'}, digest ${digest}`);
  if (failure !== null) process.exitCode = 1;
}

async function playMany(from: bigint, count: bigint): Promise<void> {
  const failed: bigint[] = [];
  let played = 0;
  for (let seed = from; seed < from + count; seed += 1n) {
    const { failure } = await playSeed(seed, undefined, judge);
    played += 1;
    if (failure === null) continue;
    failed.push(seed);
    console.log(`seed ${seed}: ${failure.message.split('\n')[0]}`);
    console.log(`  npm run sim -- --seed ${seed}${flags}`);
    if (values['until-found']) break;
  }
  console.log(`${played - failed.length} of ${played} seeds are fine, from ${from} on`);
  if (failed.length > 0) {
    console.log(`failing seeds: ${failed.join(' ')}`);
    process.exitCode = 1;
  }
}

if (values.seed === undefined) await playMany(BigInt(values.from), BigInt(values.seeds));
else await playOne(BigInt(values.seed));
