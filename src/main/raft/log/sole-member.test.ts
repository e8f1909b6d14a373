import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RaftMember } from '../../../shared/wire/gen/raft.ts';
import { ConfChange, ConfChangeType, Entry, EntryType } from '../../../shared/wire/gen/raftpb.ts';
import { toConfState } from '../core/configuration.ts';
import { MemoryStorage } from '../core/memory-storage.ts';
import { RawNode } from '../core/raw-node.ts';
import type { SnapshotMeta } from './durable-log.ts';
import { soleMember } from './sole-member.ts';

const { ConfChangeAddNode, ConfChangeRemoveNode, ConfChangeUpdateNode } = ConfChangeType;

const memberOf = (raftId: bigint, addr = `h:${raftId}`): RaftMember =>
  RaftMember.create({ raftId, nodeId: `n${raftId}`, addr });
const SELF = memberOf(1n, 'new:1');

/** What happened before: a text was written, or a member came, moved or went. */
type Event = string | { readonly type: ConfChangeType; readonly raftId: bigint };

const event: fc.Arbitrary<Event> = fc.oneof(
  fc.string({ minLength: 1, maxLength: 5 }),
  fc.record({
    type: fc.constantFrom(ConfChangeAddNode, ConfChangeRemoveNode, ConfChangeUpdateNode),
    raftId: fc.bigInt(1n, 6n),
  }),
);

const isChange = (e: Event): e is Exclude<Event, string> => typeof e !== 'string';

/** As the group that leads would have it: who is there comes not again, who is not does not go. */
function possible(events: readonly Event[], voters: Set<bigint>): Event[] {
  return events.filter((e) => {
    if (!isChange(e)) return true;
    const there = voters.has(e.raftId);
    if (e.type === ConfChangeAddNode) {
      voters.add(e.raftId);
      return !there;
    }
    if (e.type === ConfChangeRemoveNode && there && voters.size > 1) return voters.delete(e.raftId);
    return e.type === ConfChangeUpdateNode && there;
  });
}

function entryOf(e: Event, index: number, term: number): Entry {
  if (!isChange(e)) return Entry.create({ index, term, data: Buffer.from(e) });
  const context =
    e.type === ConfChangeRemoveNode ? undefined : RaftMember.encode(memberOf(e.raftId));
  const data = ConfChange.encode(ConfChange.create({ type: e.type, nodeId: e.raftId, context }));
  return Entry.create({ type: EntryType.EntryConfChange, index, term, data });
}

/** A log that begins with a snapshot of `voters`, as a manager may have it. */
function stored(voters: readonly bigint[], events: readonly Event[], uncommitted: number) {
  const storage = new MemoryStorage();
  const snapshot: SnapshotMeta = {
    index: 5,
    term: 2,
    confState: toConfState(voters),
    members: voters.map((id) => memberOf(id)),
    removed: [],
  };
  storage.applySnapshot({ data: undefined, metadata: snapshot });
  storage.append(events.map((e, i) => entryOf(e, 6 + i, 3)));
  const commit = Math.max(5, storage.lastIndex() - uncommitted);
  storage.setHardState({ term: 4, vote: 3n, commit });
  return { storage, snapshot };
}

/** Starts the member; resolves with what it applied. */
function start(storage: MemoryStorage): { node: RawNode; texts: string[]; removed: bigint[] } {
  const applied = storage.snapshot()?.metadata.index ?? 0;
  const node = new RawNode({ id: SELF.raftId, storage, applied, randBelow: () => 0 });
  const texts: string[] = [];
  const removed: bigint[] = [];
  const apply = ({ type, data = new Uint8Array() }: Entry): void => {
    if (type === EntryType.EntryNormal && data.length > 0) texts.push(Buffer.from(data).toString());
    if (type !== EntryType.EntryConfChange) return;
    const change = ConfChange.decode(data);
    node.applyConfChange(change);
    if (change.type === ConfChangeRemoveNode) removed.push(change.nodeId);
  };
  const work = (): void => {
    while (node.hasReady()) {
      const { persist, committed } = node.ready();
      if (persist.hardState !== null) storage.setHardState(persist.hardState);
      storage.append(persist.entries);
      for (const entry of committed) apply(entry);
      node.advance();
    }
  };
  work();
  node.campaign();
  work();
  return { node, texts, removed };
}

/** What stays: all that is committed, and more up to an uncommitted removal of the member itself. */
function kept(events: readonly Event[], uncommitted: number): readonly Event[] {
  const at = events.findIndex(
    (e, i) =>
      isChange(e) &&
      e.type === ConfChangeRemoveNode &&
      e.raftId === SELF.raftId &&
      i >= events.length - uncommitted,
  );
  return at === -1 ? events : events.slice(0, at);
}

test('[LOG13] whatever the log holds, its manager leads a group of one with all of it', () => {
  const voters = fc.uniqueArray(fc.bigInt(1n, 6n), { minLength: 1 });
  const history = fc.array(event, { maxLength: 30 });
  fc.assert(
    fc.property(voters, history, fc.nat(10), (before, events, uncommitted) => {
      const happened = possible(events, new Set(before));
      const stays = kept(happened, Math.min(uncommitted, happened.length));
      const now = new Set(before);
      possible(stays, now);
      const { storage, snapshot } = stored(before, happened, uncommitted);
      const { commit } = storage.hardState;
      const { group, persist } = soleMember(storage, snapshot, SELF);
      assert.deepEqual(new Set(group.members.keys()), now);
      const others = [...now].filter((id) => id !== SELF.raftId);
      const isDone = others.length === 0 && now.has(SELF.raftId) && commit === storage.lastIndex();
      assert.equal(persist === null, isDone);
      if (persist !== null) {
        storage.append(persist.entries);
        storage.setHardState(persist.hardState ?? assert.fail());
      }
      assert.equal(soleMember(storage, snapshot, SELF).persist, null, 'again changes nothing');

      const { node, texts, removed } = start(storage);
      const { role, voters: left } = node.status();
      assert.deepEqual([role, left], ['leader', [SELF.raftId]]);
      assert.deepEqual(
        texts,
        stays.filter((e) => !isChange(e)),
      );
      for (const id of others) assert.ok(removed.includes(id), `${id} is told that it was removed`);
      assert.equal(
        removed.includes(SELF.raftId),
        stays.some((e) => isChange(e) && e.type === ConfChangeRemoveNode && e.raftId === 1n),
      );
    }),
    { numRuns: 500 },
  );
});

test('[LOG13] the entries of a forced group are of a term of their own', () => {
  const { storage, snapshot } = stored([1n, 2n, 3n], ['a', 'b'], 1);
  const { persist } = soleMember(storage, snapshot, SELF);
  assert.deepEqual(persist?.hardState, { term: 5, vote: 0n, commit: 9 });
  assert.deepEqual(
    persist?.entries.map(({ index, term }) => [index, term]),
    [
      [8, 5],
      [9, 5],
    ],
  );
});
