/** When the hard state is stored: at once, if a restart must not forget it; else now and then. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { type Entry, EntryType, type HardState } from '../../shared/wire/gen/raftpb.ts';
import type { Ready } from './core/ready.ts';
import { LmdbLog } from './log/lmdb-log.ts';
import { PersistThenSend } from './persist-then-send.ts';

const KEY = new Uint8Array(32).fill(3);

const entry = (index: number, type: EntryType = EntryType.EntryNormal): Entry => {
  return { type, term: 1, index, data: undefined };
};
const state = (commit: number, term = 1, vote = 1n): HardState => ({ term, vote, commit });

/** One entry to store, this hard state, and these committed. */
const readyWith = (index: number, hardState: HardState | null, committed: Entry[] = []): Ready => ({
  softState: null,
  readStates: [],
  persist: { hardState, snapshot: null, entries: [entry(index)], mustSync: true },
  sendNow: [],
  sendAfterPersist: [],
  committed,
});

/** The hard state that a restart would find. */
async function inLog(
  run: (stable: PersistThenSend, stored: () => HardState) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-persist-'));
  try {
    await using log = new LmdbLog(directory, KEY);
    const stable = new PersistThenSend(log, () => undefined);
    await run(stable, () => log.initialState().hardState);
  } finally {
    await rm(directory, { recursive: true });
  }
}

test('a term and a vote are stored with what comes with them', async () => {
  await inLog(async (stable, stored) => {
    await stable.carryOut(readyWith(1, state(0)));
    assert.deepEqual(stored(), state(0));
    await stable.carryOut(readyWith(2, state(1, 2)));
    assert.deepEqual(stored(), state(1, 2));
    await stable.carryOut(readyWith(3, state(1, 2, 3n)));
    assert.deepEqual(stored(), state(1, 2, 3n));
  });
});

test('a commit mark alone is not, until it is far ahead, or this member stops', async () => {
  await inLog(async (stable, stored) => {
    await stable.carryOut(readyWith(1, state(0)));
    for (let index = 2; index < 66; index += 1) {
      await stable.carryOut(readyWith(index, state(index - 2)));
      assert.equal(stored().commit, 0);
    }
    await stable.carryOut(readyWith(66, state(64)));
    assert.equal(stored().commit, 64);
    await stable.carryOut(readyWith(67, state(65)));
    await stable.carryOut(readyWith(68, null));
    assert.equal(stored().commit, 64);
    await stable.flush();
    assert.equal(stored().commit, 65);
  });
});

test('the commit of another membership is, whoever may be gone after it', async () => {
  await inLog(async (stable, stored) => {
    await stable.carryOut(readyWith(1, state(0)));
    await stable.carryOut(readyWith(2, state(1), [entry(1)]));
    assert.equal(stored().commit, 0);
    const change = entry(2, EntryType.EntryConfChange);
    await stable.carryOut(readyWith(3, state(2), [change]));
    assert.equal(stored().commit, 2);
  });
});
