import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import { Member, START, entriesOfTerms, entryOf, ofType } from './testing/group.ts';
import type { MemberOptions } from './testing/group.ts';

const THREE = [1n, 2n, 3n];

/** A leader at term 2 of three, with its empty entry at 2 acknowledged by `acks`. */
function leaderOf(options: MemberOptions = {}, acks: readonly bigint[] = []): Member {
  const leader = new Member(1n, THREE, options);
  leader.node.campaign();
  leader.work();
  leader.receive(MessageType.MsgVoteResp, 2n, {});
  const index = leader.node.status().lastIndex;
  for (const from of acks) leader.receive(MessageType.MsgAppResp, from, { index });
  return leader;
}

const repeat = (count: number, term: number): number[] => Array.from({ length: count }, () => term);

const appendsTo = (to: bigint, messages: readonly Message[]): readonly Message[] =>
  ofType(messages, MessageType.MsgApp).filter((message) => message.to === to);

const progressOf = (leader: Member, id: bigint): { state: string; match: number; next: number } => {
  const { state, match, next } = leader.node.status().progress.get(id)!;
  return { state, match, next };
};

test('[RAFT12] a leader begins with an empty entry of its term', () => {
  const leader = leaderOf();
  assert.deepEqual(leader.log, ['2:']);
  assert.equal(leader.storage.entries(2, 3, Infinity)?.[0]?.data, undefined);
});

test('[RAFT13] a follower refuses what does not continue its log, and takes what does', () => {
  const follower = new Member(2n, THREE, { entries: entriesOfTerms(1, 2) });
  for (const [index, logTerm, reject] of [
    [3, 2, false],
    [3, 1, true],
    [4, 2, true],
    [2, 1, false],
  ] as const) {
    const [answer] = follower.receive(MessageType.MsgApp, 1n, { term: 3, index, logTerm });
    assert.equal(answer?.reject, reject, `${logTerm}/${index}`);
  }
});

test('[RAFT13] a late append that the log already holds cuts nothing off', () => {
  const follower = new Member(2n, THREE, { entries: entriesOfTerms(2, 2, 2) });
  const [answer] = follower.receive(MessageType.MsgApp, 1n, {
    term: 2,
    index: START.index,
    logTerm: START.term,
    entries: [entryOf(2, 2)],
  });
  assert.deepEqual([answer?.index, follower.log], [2, ['2:', '2:', '2:']]);
});

test('[RAFT13] an append before the commit mark is answered with the mark', () => {
  const follower = new Member(2n, THREE, {
    entries: entriesOfTerms(2, 2),
    hardState: { commit: 3 },
  });
  const [answer] = follower.receive(MessageType.MsgApp, 1n, { term: 2, index: 1, logTerm: 1 });
  assert.deepEqual([answer?.reject, answer?.index], [false, 3]);
});

test('[RAFT14] entries of older terms commit only with one of the own term', () => {
  const leader = leaderOf({ entries: entriesOfTerms(1, 1), hardState: { term: 1 } });
  leader.receive(MessageType.MsgAppResp, 2n, { index: 3 });
  assert.equal(leader.node.status().commit, START.index, 'a majority holds 3, of an older term');
  leader.receive(MessageType.MsgAppResp, 2n, { index: 4 });
  assert.equal(leader.node.status().commit, 4);
});

test('[RAFT14] the leader counts itself only for what it has stored', () => {
  const leader = leaderOf({}, [2n, 3n]);
  assert.equal(leader.node.propose(Buffer.from('x')), null);
  const ready = leader.node.ready();
  leader.node.step({ ...ready.sendNow[0]!, type: MessageType.MsgAppResp, from: 2n, index: 3 });
  assert.equal(leader.node.status().commit, 2);
  leader.settle(ready);
  assert.equal(leader.node.status().commit, 3);
});

test('[RAFT15] a heartbeat moves the commit mark of a follower', () => {
  const follower = new Member(2n, THREE, { entries: entriesOfTerms(2, 2) });
  follower.receive(MessageType.MsgHeartbeat, 1n, { term: 2, commit: 2 });
  assert.equal(follower.node.status().commit, 2);
});

test('[RAFT16] probes go term by term, not entry by entry', () => {
  for (const [leaderTerms, followerTerms, mostProbes] of [
    [[...repeat(20, 1), ...repeat(20, 4)], [...repeat(20, 1), ...repeat(30, 2)], 3],
    [repeat(40, 5), repeat(40, 1), 2],
    [[...repeat(5, 1), ...repeat(5, 3)], [...repeat(5, 1), ...repeat(50, 2)], 2],
  ] as const) {
    const hardState = { term: 6 };
    const leader = new Member(1n, [1n, 2n, 3n], {
      entries: entriesOfTerms(...leaderTerms),
      hardState,
    });
    const follower = new Member(2n, [1n, 2n, 3n], { entries: entriesOfTerms(...followerTerms) });
    leader.node.campaign();
    leader.work();
    let refusals = 0;
    let due = leader.receive(MessageType.MsgVoteResp, 3n, {});
    while (appendsTo(2n, due).length > 0) {
      for (const message of appendsTo(2n, due)) follower.node.step(message);
      const answers = follower.work();
      refusals += answers.filter(({ reject }) => reject).length;
      for (const message of answers) leader.node.step(message);
      due = leader.work();
    }
    assert.deepEqual(follower.log, leader.log);
    assert.ok(refusals <= mostProbes, `${refusals} refusals`);
  }
});

test('[RAFT16] whatever two logs hold after what they share, they come to agree', () => {
  // Terms of one leader each: even ones only here, odd ones only there.
  const tail = fc.array(fc.nat(2), { maxLength: 8 });
  fc.assert(
    fc.property(fc.nat(6), tail, tail, (shared, ownSteps, theirSteps) => {
      const after = (steps: readonly number[], first: number): number[] => {
        let term = first;
        return [...repeat(shared, 1), ...steps.map((step) => (term += 2 * step))];
      };
      const hardState = { term: 40 };
      const leader = new Member(1n, THREE, {
        entries: entriesOfTerms(...after(ownSteps, 2)),
        hardState,
      });
      const follower = new Member(2n, THREE, { entries: entriesOfTerms(...after(theirSteps, 3)) });
      leader.node.campaign();
      leader.work();
      let due = leader.receive(MessageType.MsgVoteResp, 3n, {});
      while (due.length > 0) {
        for (const message of due) {
          if (message.to === 1n) leader.node.step(message);
          if (message.to === 2n) follower.node.step(message);
        }
        due = [...leader.work(), ...follower.work()];
      }
      assert.deepEqual(follower.log, leader.log);
    }),
  );
});

test('[RAFT17] one append at a time to a follower that is probed', () => {
  const leader = leaderOf();
  assert.deepEqual(appendsTo(3n, leader.propose('a')), []);
  assert.deepEqual(progressOf(leader, 3n), { state: 'probe', match: 0, next: 2 });
  assert.equal(appendsTo(3n, leader.receive(MessageType.MsgHeartbeatResp, 3n)).length, 1);
  assert.deepEqual(appendsTo(3n, leader.propose('b')), []);
});

test('[RAFT17] appends run ahead to a follower that keeps up', () => {
  const leader = leaderOf({}, [2n, 3n]);
  for (const content of ['a', 'b', 'c']) {
    const [append] = appendsTo(3n, leader.propose(content));
    assert.deepEqual(
      append?.entries.map(({ data }) => String(data)),
      [content],
    );
  }
  assert.deepEqual(progressOf(leader, 3n), { state: 'replicate', match: 2, next: 6 });
});

test('[RAFT18] past the limit nothing goes, until room or a heartbeat makes it', () => {
  for (const options of [{ maxInflightMsgs: 2 }, { maxInflightBytes: 4, maxSizePerMsg: 4 }]) {
    const leader = leaderOf(options, [2n, 3n]);
    leader.propose('aa');
    leader.propose('bb');
    assert.deepEqual(appendsTo(3n, leader.propose('cc')), []);
    const [empty, ...more] = appendsTo(3n, leader.receive(MessageType.MsgHeartbeatResp, 3n));
    assert.deepEqual([empty?.entries, empty?.index, more], [[], 4, []]);
    const freed = leader.receive(MessageType.MsgAppResp, 3n, { index: 3 });
    assert.deepEqual(
      appendsTo(3n, freed)
        .at(-1)
        ?.entries.map(({ index }) => index),
      [5],
    );
  }
});

test('[RAFT19] a heartbeat tells no commit beyond what its receiver holds', () => {
  const leader = leaderOf({}, [2n]);
  const commits = ofType(leader.tick(1), MessageType.MsgHeartbeat).map(({ to, commit }) => [
    to,
    commit,
  ]);
  assert.deepEqual(commits, [
    [2n, 2],
    [3n, 0],
  ]);
});

test('[RAFT22] an append is as long as its limit allows, and one entry at least', () => {
  const leader = leaderOf({ maxSizePerMsg: 30 }, [2n]);
  for (const content of ['aaaa', 'bbbb', 'c'.repeat(99), 'd']) leader.propose(content);
  const sent: (readonly number[])[] = [];
  for (let index = 2; index < 6;) {
    const [append] = appendsTo(3n, leader.receive(MessageType.MsgAppResp, 3n, { index }));
    assert(append !== undefined);
    sent.push(append.entries.map((entry) => entry.index));
    leader.node.reportUnreachable(3n);
    index = append.index + append.entries.length;
    leader.receive(MessageType.MsgHeartbeatResp, 3n);
  }
  assert.deepEqual(sent[0], [3, 4]);
  assert.ok(sent.every((indexes) => indexes.length > 0));
});

test('[RAFT23] a follower reported unreachable is probed from what it is known to hold', () => {
  const leader = leaderOf({}, [2n, 3n]);
  leader.propose('a');
  leader.node.reportUnreachable(3n);
  assert.deepEqual(progressOf(leader, 3n), { state: 'probe', match: 2, next: 3 });
  leader.node.reportUnreachable(9n);
  const [append] = appendsTo(3n, leader.receive(MessageType.MsgHeartbeatResp, 3n));
  assert.deepEqual([append?.index, append?.entries.length], [2, 1]);
});
