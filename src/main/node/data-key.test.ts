/** Rotation of the data key of a log in use, through crashes between any two of its writes. */
import assert from 'node:assert/strict';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Entry, HardState, SnapshotMetadata } from '../../shared/wire/gen/raftpb.ts';
import { RaftMember } from '../../shared/wire/gen/raft.ts';
import { KeyFiles, type Headers } from '../ca/key-files.ts';
import { testCluster } from '../ca/testing/identities.ts';
import { silentLog } from '../log.ts';
import { LmdbLog } from '../raft/log/lmdb-log.ts';
import { Role } from '../rpc/authorise.ts';
import { DataKeyRotation, dataKeysOf, newDataKeyHeaders, openRaftLog } from './data-key.ts';

test('a data key is kept in headers, a fresh one each time', () => {
  const headers = [newDataKeyHeaders(), newDataKeyHeaders()];
  const keys = headers.map((each) => dataKeysOf(each)?.current);
  assert.deepEqual(
    keys.map((key) => key?.length),
    [32, 32],
  );
  assert.notDeepEqual(keys[0], keys[1]);
  assert.deepEqual(Object.keys(headers[0] ?? {}), ['raft-dek']);
  assert.equal(dataKeysOf({}), undefined);
  const orphan = { 'raft-dek-pending': headers[0]?.['raft-dek'] ?? '' };
  assert.throws(() => dataKeysOf(orphan), /there is a pending DEK, but no current DEK/);
});

const MEMBER = RaftMember.create({ raftId: 7n, nodeId: 'n1', addr: 'h:1' });
const confState = { ...SnapshotMetadata.create().confState, voters: [7n] };
const ENTRIES = 1200;

const entry = (index: number): Entry =>
  Entry.create({ index, term: 1, data: Buffer.from(`entry ${index}`) });

async function* pieces(): AsyncIterable<Uint8Array> {
  for (let i = 0; i < 5; i += 1) yield Buffer.alloc(300_000, i);
}

/** A manager's files, with the log open. */
class Place {
  readonly directory: string;
  readonly keys: KeyFiles;

  constructor(directory: string) {
    this.directory = directory;
    this.keys = new KeyFiles(join(directory, 'certificates'));
  }

  get raftDirectory(): string {
    return join(this.directory, 'raft');
  }

  async headers(): Promise<Headers> {
    return (await this.keys.load())?.headers ?? {};
  }

  async open(): Promise<LmdbLog> {
    const keys = dataKeysOf(await this.headers());
    assert.ok(keys);
    const log = openRaftLog(this.raftDirectory, keys);
    await log.removeLeftovers();
    return log;
  }
}

const save = (log: LmdbLog, entries: readonly Entry[]): Promise<void> => {
  const hardState = HardState.create({ term: 1, vote: 7n, commit: entries.at(-1)?.index ?? 0 });
  return log.save({ hardState, snapshot: null, entries, mustSync: true });
};

/** That the log holds all up to `last`, and its snapshot. */
function assertWhole(log: LmdbLog, last: number, note: string): void {
  assert.deepEqual(log.member(), MEMBER);
  assert.equal(log.lastIndex(), last, note);
  assert.equal(log.initialState().hardState.commit, last);
  const entries = log.entries(log.firstIndex(), last + 1, Infinity) ?? [];
  assert.deepEqual(
    entries.map(({ data }) => Buffer.from(data ?? []).toString()),
    entries.map(({ index }) => `entry ${index}`),
  );
  using snapshot = log.readSnapshot();
  assert.equal(Buffer.concat([...(snapshot?.chunks ?? [])]).length, 1_500_000);
}

describe('rotation', () => {
  let root: string;
  let founded: Place;
  let oldKey: Uint8Array;
  let copies = 0;

  const copyOf = async (place: Place): Promise<Place> => {
    const copy = join(root, `copy${(copies += 1)}`);
    await cp(place.directory, copy, { recursive: true });
    return new Place(copy);
  };

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'skein-data-key-'));
    founded = new Place(join(root, 'founded'));
    const cluster = await testCluster();
    const { certificatePem, keyPem } = await cluster.member('n1', Role.MANAGER);
    await founded.keys.save(certificatePem, keyPem, { ...newDataKeyHeaders(), other: 'kept' });
    oldKey = dataKeysOf(await founded.headers())?.current ?? assert.fail();
    await mkdir(founded.raftDirectory);
    await using log = await founded.open();
    await log.saveMember(MEMBER);
    await save(
      log,
      Array.from({ length: ENTRIES }, (_, i) => entry(i + 1)),
    );
    const meta = { index: ENTRIES - 100, term: 1, confState, members: [MEMBER], removed: [] };
    await log.saveSnapshot(meta, pieces());
    await log.compact(100);
  });
  after(() => rm(root, { recursive: true }));

  async function assertRotated(place: Place): Promise<void> {
    const headers = await place.headers();
    assert.deepEqual(Object.keys(headers).toSorted(), ['other', 'raft-dek']);
    assert.notDeepEqual(dataKeysOf(headers)?.current, oldKey);
    assert.throws(() => new LmdbLog(place.raftDirectory, oldKey), /wrong data key/);
  }

  test('[NODE8] a crash between any two writes of a rotation loses nothing, and the next start ends it', async () => {
    const place = await copyOf(founded);
    const states: { readonly place: Place; readonly last: number }[] = [];
    {
      await using log = await place.open();
      const { keys } = place;
      const keep = async (): Promise<void> => {
        states.push({ place: await copyOf(place), last: log.lastIndex() });
      };
      const rotation = new DataKeyRotation({
        log: silentLog,
        keys: {
          load: keys.load,
          updateHeaders: async (change) => {
            await keep();
            await keys.updateHeaders(change);
            await keep();
          },
        },
        raftLog: {
          async *rekey(key) {
            for await (const step of log.rekey(key)) {
              await keep();
              // The log is in use meanwhile.
              await save(log, [entry(log.lastIndex() + 1)]);
              await keep();
              yield step;
            }
          },
        },
      });
      await rotation.rotate();
      assertWhole(log, log.lastIndex(), 'at the end');
    }
    await assertRotated(place);
    assert.ok(states.length >= 14, `${states.length} states`);
    for (const [i, state] of states.entries()) {
      const { keys } = state.place;
      const begun = dataKeysOf(await state.place.headers())?.needsRotation;
      {
        await using log = await state.place.open();
        assertWhole(log, state.last, `state ${i}`);
        const rotation = new DataKeyRotation({ keys, raftLog: log, log: silentLog });
        await rotation.resume();
        // Before its first write nobody knows that a rotation was asked for.
        if (begun !== true) await rotation.rotate();
        assertWhole(log, state.last, `state ${i}, gone on with`);
      }
      await assertRotated(state.place);
      await using log = await state.place.open();
      assertWhole(log, state.last, `state ${i}, opened again`);
    }
  });

  test('[NODE8] a rotation that was only asked for is begun by the next start', async () => {
    const place = await copyOf(founded);
    const asked = { 'raft-dek-needs-rotation': 'true' };
    await place.keys.updateHeaders((headers) => ({ ...headers, ...asked }));
    {
      await using log = await place.open();
      await new DataKeyRotation({ keys: place.keys, raftLog: log, log: silentLog }).resume();
    }
    await assertRotated(place);
  });

  test('[NODE8] a stop waits for the write under way, and the next start goes on', async () => {
    const place = await copyOf(founded);
    {
      await using log = await place.open();
      const rotation = new DataKeyRotation({ keys: place.keys, raftLog: log, log: silentLog });
      const first = rotation.rotate();
      assert.equal(rotation.rotate(), first);
      const stopped = rotation.stop();
      await assert.rejects(first, /the node stops/);
      await stopped;
      await assert.rejects(rotation.rotate(), /the node stops/);
    }
    assert.equal(dataKeysOf(await place.headers())?.needsRotation, true);
    {
      await using log = await place.open();
      await new DataKeyRotation({ keys: place.keys, raftLog: log, log: silentLog }).resume();
      assertWhole(log, ENTRIES, 'after a stop');
    }
    await assertRotated(place);
  });

  test('[NODE8] a certificate that is renewed meanwhile keeps the keys', async () => {
    const place = await copyOf(founded);
    const stored = (await place.keys.load()) ?? assert.fail();
    {
      await using log = await place.open();
      const rotation = new DataKeyRotation({ keys: place.keys, raftLog: log, log: silentLog });
      const renewals = Array.from({ length: 20 }, async () => {
        await place.keys.save(stored.certificatePem, stored.keyPem);
      });
      await Promise.all([...renewals.slice(0, 10), rotation.rotate(), ...renewals.slice(10)]);
    }
    await assertRotated(place);
    await using log = await place.open();
    assertWhole(log, ENTRIES, 'after renewals');
  });
});
