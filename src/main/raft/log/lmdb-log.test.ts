import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { open } from 'lmdb';
import { Entry, HardState, SnapshotMetadata } from '../../../shared/wire/gen/raftpb.ts';
import type { Persist } from '../core/ready.ts';
import { durableLogContract } from './durable-log-contract.ts';
import type { LogPlace } from './durable-log-model.ts';
import type { SnapshotMeta } from './durable-log.ts';
import { LmdbLog } from './lmdb-log.ts';

type Place = Omit<LogPlace, 'open'> & {
  readonly directory: string;
  open(): Promise<LmdbLog>;
};

async function place(key: Uint8Array = randomBytes(32)): Promise<Place> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-log-'));
  return {
    directory,
    open: async () => new LmdbLog(directory, key),
    clear: async () => {
      await rm(directory, { recursive: true });
      await mkdir(directory);
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true }),
  };
}

durableLogContract('lmdb', place);

const entries = (from: number, count: number, bytes = 10): Entry[] =>
  Array.from({ length: count }, (_, i) =>
    Entry.create({ index: from + i, term: 1, data: Buffer.alloc(bytes, i) }),
  );

const persist = (list: readonly Entry[]): Persist => ({
  hardState: HardState.create({ term: 1, commit: list.at(-1)?.index ?? 0 }),
  snapshot: null,
  entries: list,
  mustSync: true,
});

const meta = (index: number): SnapshotMeta => ({
  ...SnapshotMetadata.create({ index, term: 1 }),
  members: [],
  removed: [],
});

async function* pieces(count: number, bytes: number): AsyncIterable<Uint8Array> {
  for (let i = 0; i < count; i += 1) yield Buffer.alloc(bytes, i);
}

/** Keys that stand in a log's file. */
async function keysIn(directory: string): Promise<{ entries: unknown[]; pieces: unknown[] }> {
  const root = open({ path: join(directory, 'log.mdb'), readOnly: true, encoding: 'binary' });
  try {
    const keys = (name: string): unknown[] => [
      ...root.openDB({ name, encoding: 'binary' }).getKeys({}),
    ];
    return { entries: keys('entries'), pieces: keys('pieces') };
  } finally {
    await root.close();
  }
}

test('[LOG6] nothing readable stands on the disk, and another key is refused', async () => {
  await using here = await place();
  {
    await using log = await here.open();
    const data = Buffer.from('a very secret value');
    await log.save(persist([Entry.create({ index: 1, term: 1, data })]));
  }
  const bytes = await readFile(join(here.directory, 'log.mdb'));
  assert.equal(bytes.includes('secret'), false);
  assert.throws(() => new LmdbLog(here.directory, randomBytes(32)), /wrong data key, or damaged/);
});

test('[LOG9] a log in use changes its key: old and new open meanwhile, then only the new one', async () => {
  const [old, next] = [randomBytes(32), randomBytes(32)];
  await using here = await place(old);
  {
    await using log = await here.open();
    await log.save(persist(entries(1, 3000)));
    await log.saveSnapshot(meta(2000), pieces(4, 200_000));
    let steps = 0;
    for await (const _ of log.rekey(next)) {
      steps += 1;
      // Every kind of write comes between, on what is sealed anew already and on what is not yet.
      if (steps === 2) await log.save(persist(entries(3001, 10)));
      if (steps === 3) await log.save(persist(entries(2900, 50)));
      if (steps === 4) await log.compact(1500);
      if (steps === 5) await log.saveSnapshot(meta(2500), pieces(6, 200_000));
    }
    assert.ok(steps > 6, `${steps} steps`);
    assert.equal(log.lastIndex(), 2949);
  }
  assert.throws(() => new LmdbLog(here.directory, old), /wrong data key/);
  await using log = new LmdbLog(here.directory, next);
  assert.deepEqual([log.firstIndex(), log.lastIndex()], [1501, 2949]);
  assert.equal(log.entries(1501, 2950, Infinity)?.length, 1449);
  using snapshot = log.readSnapshot();
  assert.equal(Buffer.concat([...(snapshot?.chunks ?? [])]).length, 1_200_000);
});

test('[LOG10] what a crash left of a snapshot and of a compaction goes at the next start', async () => {
  const key = randomBytes(32);
  await using here = await place(key);
  await using crashed = await place(key);
  {
    await using log = await here.open();
    await log.save(persist(entries(1, 2000)));
    await log.saveSnapshot(meta(1000), pieces(2, 1000));
    await log.compact(900);
    const crash = async function* (): AsyncIterable<Uint8Array> {
      yield* pieces(3, 600_000);
      await cp(here.directory, crashed.directory, { recursive: true });
    };
    await log.saveSnapshot(meta(2000), crash());
  }
  {
    // A compaction whose mark is written, and that has still to remove entries.
    const root = open({ path: join(crashed.directory, 'log.mdb'), encoding: 'binary' });
    const table = root.openDB({ name: 'entries', encoding: 'binary' });
    for (let index = 890; index <= 900; index += 1) await table.put(index, Buffer.from('old'));
    await root.close();
  }
  const before = await keysIn(crashed.directory);
  assert.deepEqual([before.pieces.length, before.entries[0]], [5, 890]);
  {
    await using log = await crashed.open();
    assert.deepEqual([log.firstIndex(), log.lastIndex()], [901, 2000]);
    await log.removeLeftovers();
    using snapshot = log.readSnapshot();
    assert.equal(snapshot?.meta.index, 1000);
  }
  const after = await keysIn(crashed.directory);
  assert.deepEqual([after.pieces.length, after.entries.length, after.entries[0]], [2, 1100, 901]);
});

const HOLDER = `
  const { LmdbLog } = await import(process.argv[1]);
  new LmdbLog(process.argv[2], new Uint8Array(32).fill(1));
  process.stdout.write('open');
  setInterval(() => undefined, 1000);
`;

test('[LOG12] a log that another process has open is refused, until that process is dead', async () => {
  await using here = await place();
  const code = new URL('lmdb-log.ts', import.meta.url).href;
  const args = ['--input-type=module', '--eval', HOLDER, code, here.directory];
  const holder = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    await once(holder.stdout, 'data');
    const opened = (): LmdbLog => new LmdbLog(here.directory, new Uint8Array(32).fill(1));
    assert.throws(opened, new RegExp(`is in use by process ${holder.pid}: stop that one first$`));
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    await using log = opened();
    assert.equal(log.lastIndex(), 0);
  } finally {
    holder.kill('SIGKILL');
  }
});

test('[LOG15] the file stays as large as it was, however many snapshots are made', async () => {
  await using here = await place();
  await using log = await here.open();
  const sizes: number[] = [];
  for (let round = 0; round < 40; round += 1) {
    const from = log.lastIndex() + 1;
    for (let i = 0; i < 4; i += 1) await log.save(persist(entries(from + i * 100, 100, 2000)));
    const last = log.lastIndex();
    await log.saveSnapshot(meta(last), pieces(8, 250_000));
    await log.compact(last - 50);
    sizes.push(log.sizeBytes());
  }
  const [early = 0, late = Infinity] = [sizes[9], sizes.at(-1)];
  assert.ok(late <= early * 1.1, `${early} bytes after 10 rounds, ${late} after 40`);
});

test('[LOG16] saves go on while much is compacted and a snapshot is stored', async () => {
  await using here = await place();
  await using log = await here.open();
  for (let i = 0; i < 20; i += 1) await log.save(persist(entries(1 + i * 1000, 1000)));
  const work = { done: false };
  const working = (async () => {
    await log.saveSnapshot(meta(20_000), pieces(20, 500_000));
    await log.compact(20_000);
    work.done = true;
  })();
  let saves = 0;
  for (; !work.done; saves += 1) await log.save(persist(entries(log.lastIndex() + 1, 1)));
  await working;
  assert.ok(saves >= 20, `${saves} saves meanwhile`);
  assert.equal(log.firstIndex(), 20_001);
});
