/** What every durable log must do; run on each implementation. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RaftMember } from '../../../shared/wire/gen/raft.ts';
import { Entry, HardState } from '../../../shared/wire/gen/raftpb.ts';
import { anyRun, meta, persist, pieces, type LogPlace } from './durable-log-model.ts';

const entry = (index: number, term = 1, text = `e${index}`): Entry =>
  Entry.create({ index, term, data: Buffer.from(text) });

const texts = (entries: readonly Entry[] | null): string[] =>
  (entries ?? []).map((e) => `${e.index}/${e.term} ${Buffer.from(e.data ?? []).toString()}`);

async function* broken(): AsyncIterable<Uint8Array> {
  yield* pieces('hal', 'f a');
  throw new Error('cut');
}

type Check = (title: string, run: (place: LogPlace) => Promise<void>) => void;

export function durableLogContract(name: string, makePlace: () => Promise<LogPlace>): void {
  const check: Check = (title, run) => {
    test(`${title} (${name})`, async () => {
      await using place = await makePlace();
      await run(place);
    });
  };
  entryRules(check);
  snapshotRules(check);
  replacementRules(check);
  check('[LOG1] [LOG2] whatever is done to it, and restarted when, a log reads as a list', anyRun);
}

function entryRules(check: Check): void {
  check('[LOG1] what was saved is there after a restart', async (place) => {
    const hardState = HardState.create({ term: 3, vote: 5n, commit: 2 });
    {
      await using log = await place.open();
      assert.equal(log.lastIndex(), 0);
      await log.save(persist([entry(1), entry(2), entry(3, 3)], hardState));
    }
    await using log = await place.open();
    assert.deepEqual(log.initialState().hardState, hardState);
    assert.deepEqual(texts(log.entries(1, 4, Infinity)), ['1/1 e1', '2/1 e2', '3/3 e3']);
    assert.deepEqual([log.term(0), log.term(2), log.term(3), log.term(4)], [0, 1, 3, null]);
  });

  check('[LOG2] entries replace everything from the first one on', async (place) => {
    {
      await using log = await place.open();
      await log.save(persist([entry(1), entry(2), entry(3), entry(4)]));
      await log.save(persist([entry(2, 2, 'new')]));
      assert.equal(log.lastIndex(), 2);
    }
    await using log = await place.open();
    assert.deepEqual(texts(log.entries(1, 3, Infinity)), ['1/1 e1', '2/2 new']);
    await log.save(persist([entry(3, 2)]));
    assert.equal(log.lastIndex(), 3);
  });

  check('[LOG3] reads are cut by size, but give at least one entry', async (place) => {
    await using log = await place.open();
    await log.save(persist([entry(1), entry(2), entry(3)]));
    assert.equal(log.entries(1, 4, 0)?.length, 1);
    assert.equal(log.entries(1, 4, 25)?.length, 2);
    assert.equal(log.entries(1, 4, 1000)?.length, 3);
  });
}

function snapshotRules(check: Check): void {
  check(
    '[LOG4] a snapshot is kept with its members, and replaces the one before',
    async (place) => {
      {
        await using log = await place.open();
        await log.save(persist([entry(1), entry(2), entry(3)]));
        await log.saveSnapshot(meta(2), pieces('old'));
        await log.saveSnapshot(meta(3), pieces('a', 'b', 'c'));
      }
      await using log = await place.open();
      const snapshot = log.readSnapshot();
      assert.deepEqual(snapshot?.meta, meta(3));
      assert.equal(Buffer.concat([...(snapshot?.chunks ?? [])]).toString(), 'abc');
      assert.deepEqual(log.initialState().confState, meta(3).confState);
    },
  );

  check('[LOG5] compaction forgets entries but not the term before the first', async (place) => {
    {
      await using log = await place.open();
      await log.save(persist([entry(1), entry(2, 2), entry(3, 2)]));
      await log.saveSnapshot(meta(3, 2), pieces('x'));
      await log.compact(2);
      assert.equal(log.firstIndex(), 3);
    }
    await using log = await place.open();
    assert.deepEqual([log.firstIndex(), log.lastIndex()], [3, 3]);
    assert.deepEqual([log.term(1), log.term(2), log.term(3)], [null, 2, 2]);
    assert.equal(log.entries(2, 3, Infinity), null);
    assert.deepEqual(texts(log.entries(3, 4, Infinity)), ['3/2 e3']);
    await log.save(persist([entry(4, 2)]));
    assert.equal(log.lastIndex(), 4);
  });

  check('[LOG8] a leader’s snapshot replaces the whole log', async (place) => {
    const hardState = HardState.create({ term: 5, vote: 2n, commit: 40 });
    {
      await using log = await place.open();
      await log.save(persist([entry(1), entry(2), entry(3)]));
      await log.saveSnapshot(meta(2), pieces('mine', 'too'));
      const { index, term, confState } = meta(40, 4);
      const snapshot = { data: undefined, metadata: { index, term, confState } };
      const chunks = [Buffer.from('the '), Buffer.from('leader')];
      const ready = { hardState, snapshot, entries: [entry(41, 5)], mustSync: true };
      await log.save(ready, { meta: meta(40, 4), chunks });
      assert.deepEqual([log.firstIndex(), log.lastIndex()], [41, 41]);
    }
    await using log = await place.open();
    assert.deepEqual(log.initialState().hardState, hardState);
    assert.deepEqual([log.firstIndex(), log.lastIndex(), log.term(40)], [41, 41, 4]);
    const stored = log.readSnapshot();
    assert.deepEqual(stored?.meta, meta(40, 4));
    assert.equal(Buffer.concat([...(stored?.chunks ?? [])]).toString(), 'the leader');
  });

  check('[LOG7] a log knows whose it is', async (place) => {
    const member = RaftMember.create({ raftId: 1n << 63n, nodeId: 'n1', addr: '10.0.0.1:2377' });
    {
      await using log = await place.open();
      assert.equal(log.member(), undefined);
      await log.saveMember(member);
    }
    await using log = await place.open();
    assert.deepEqual(log.member(), member);
    assert.deepEqual(log.peers(), []);
  });
}

function replacementRules(check: Check): void {
  check(
    '[LOG11] a snapshot that is read stays while a newer one takes its place',
    async (place) => {
      await using log = await place.open();
      await log.save(persist([entry(1), entry(2), entry(3)]));
      await log.saveSnapshot(meta(1), pieces('o', 'l', 'd'));
      {
        using old = log.readSnapshot();
        using again = log.readSnapshot();
        await log.saveSnapshot(meta(2), pieces('new'));
        assert.deepEqual([old?.meta.index, old?.bytes], [1, 3]);
        assert.equal(Buffer.concat([...(old?.chunks ?? [])]).toString(), 'old');
        again?.[Symbol.dispose]();
        again?.[Symbol.dispose]();
        await log.saveSnapshot(meta(3), pieces('newest'));
        assert.equal(Buffer.concat([...(again?.chunks ?? [])]).toString(), 'old');
      }
      using newest = log.readSnapshot();
      assert.equal(Buffer.concat([...(newest?.chunks ?? [])]).toString(), 'newest');
      assert.equal(log.snapshotBytes(), 6);
    },
  );

  check('[LOG10] a snapshot that was cut short is no snapshot', async (place) => {
    {
      await using log = await place.open();
      await log.save(persist([entry(1), entry(2), entry(3)]));
      await log.saveSnapshot(meta(1), pieces('whole'));
      await assert.rejects(log.saveSnapshot(meta(2), broken()), /cut/);
      await log.saveSnapshot(meta(2), pieces('2'));
      await assert.rejects(log.saveSnapshot(meta(3), broken()), /cut/);
      await log.save(persist([entry(4)]));
    }
    await using log = await place.open();
    await log.removeLeftovers();
    using snapshot = log.readSnapshot();
    assert.deepEqual(snapshot?.meta, meta(2));
    assert.equal(Buffer.concat([...(snapshot?.chunks ?? [])]).toString(), '2');
    assert.equal(log.lastIndex(), 4);
  });
}
