import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Entry } from '../../../shared/wire/gen/raftpb.ts';
import { durableLogContract, type LogPlace } from './durable-log-contract.ts';
import { LmdbLog } from './lmdb-log.ts';

async function place(): Promise<LogPlace & { readonly directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-log-'));
  const key = randomBytes(32);
  return {
    directory,
    open: async () => new LmdbLog(directory, key),
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

durableLogContract('lmdb', place);

test('[LOG6] nothing readable stands on the disk, and another key is refused', async () => {
  await using here = await place();
  {
    await using log = await here.open();
    const data = Buffer.from('a very secret value');
    const entries = [Entry.create({ index: 1, term: 1, data })];
    await log.save({ hardState: null, snapshot: null, entries, mustSync: true });
  }
  const bytes = await readFile(join(here.directory, 'log.mdb'));
  assert.equal(bytes.includes('secret'), false);
  assert.throws(() => new LmdbLog(here.directory, randomBytes(32)), /wrong data key, or damaged/);
});
