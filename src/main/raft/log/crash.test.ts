/** The log of a process that is killed in the middle of everything, or whose disk is full. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { LmdbLog } from './lmdb-log.ts';
import { HAMMER_KEY, hammerEntry } from './testing/hammer.ts';

const HAMMER = new URL('./testing/hammer.ts', import.meta.url).pathname;

type Told = { readonly last: number; readonly words: readonly string[] };

/** Hammers until `killAfter` saves were told, or until it ends by itself. */
async function hammer(directory: string, killAfter: number, fileBytesMax?: number): Promise<Told> {
  const isFull = fileBytesMax !== undefined;
  const limit = isFull ? `ulimit -f ${Math.floor(fileBytesMax / 512)};` : '';
  const command = `${limit} exec "$0" "$@"`;
  const args = ['-c', command, process.execPath, HAMMER, directory, isFull ? '1000' : '50'];
  const child = spawn('sh', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const ended = once(child, 'exit');
  let last = 0;
  let saves = 0;
  const words: string[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    if (!/^\d+$/.test(line)) {
      words.push(line);
      continue;
    }
    last = Number(line);
    if ((saves += 1) === killAfter) child.kill('SIGKILL');
  }
  await ended;
  return { last, words };
}

/** That all up to `last` is there, and nothing that was never saved. */
async function assertHolds(directory: string, last: number): Promise<void> {
  await using log = new LmdbLog(directory, HAMMER_KEY);
  await log.removeLeftovers();
  assert.ok(log.lastIndex() >= last, `${log.lastIndex()} of ${last}`);
  assert.ok(log.initialState().hardState.commit >= last);
  assert.equal(log.initialState().hardState.term, last === 0 ? 0 : 1);
  for (let from = log.firstIndex(); from <= log.lastIndex();) {
    const entries = log.entries(from, log.lastIndex() + 1, 1_000_000) ?? [];
    for (const entry of entries) {
      const wanted = hammerEntry(entry.index);
      assert.equal(Buffer.compare(entry.data ?? HAMMER_KEY, wanted.data ?? HAMMER_KEY), 0);
    }
    from += entries.length;
  }
  using snapshot = log.readSnapshot();
  if (snapshot === undefined) return;
  const content = new Uint8Array(600_000).fill(snapshot.meta.index);
  assert.equal(Buffer.compare(Buffer.concat([...snapshot.chunks]), content), 0);
}

async function inDirectory(run: (directory: string) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-crash-'));
  try {
    await run(directory);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('[LOG1] [LOG10] killed again and again, a log has all that it acknowledged', async () => {
  await inDirectory(async (directory) => {
    let last = 0;
    for (const killAfter of [1, 3, 20, 47, 110, 150, 203]) {
      ({ last } = await hammer(directory, killAfter));
      await assertHolds(directory, last);
    }
    assert.ok(last > 500, `only ${last} entries were saved`);
  });
});

test('[LOG14] on a full disk a log loses nothing that it acknowledged, and goes on when there is room', async () => {
  await inDirectory(async (directory) => {
    const { last, words } = await hammer(directory, Infinity, 10_000_000);
    assert.ok(last > 0);
    const ends = words.filter((word) => word.startsWith('no save'));
    assert.deepEqual(ends, ['no save', 'no save again']);
    await assertHolds(directory, last);
    const { last: later } = await hammer(directory, 40);
    assert.ok(later > last);
    await assertHolds(directory, later);
  });
});
