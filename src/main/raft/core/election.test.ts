import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ConfChange, EntryType, Message, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { toConfState } from './configuration.ts';
import { Group, Member, change, entriesOfTerms } from './testing/group.ts';

const THREE = [1n, 2n, 3n];
const LAST = { index: 1, logTerm: 1 };

function soleAnswer(messages: readonly Message[]): Message {
  assert.equal(messages.length, 1);
  return messages[0]!;
}

test('[RAFT1] one vote a term, for the first that asks and for it again', () => {
  const voter = new Member(1n, THREE);
  const ask = (from: bigint, term: number): boolean =>
    !soleAnswer(voter.receive(MessageType.MsgVote, from, { term, ...LAST })).reject;
  assert.equal(ask(2n, 2), true);
  assert.equal(ask(3n, 2), false);
  assert.equal(ask(2n, 2), true);
  assert.equal(ask(3n, 3), true);
  assert.deepEqual(voter.storage.hardState, { term: 3, vote: 3n, commit: 1 });
});

test('[RAFT1] a vote survives a restart', () => {
  const voter = new Member(1n, THREE, { hardState: { term: 4, vote: 2n } });
  assert.equal(soleAnswer(voter.receive(MessageType.MsgVote, 3n, LAST)).reject, true);
  assert.equal(soleAnswer(voter.receive(MessageType.MsgVote, 2n, LAST)).reject, false);
});

test('[RAFT1] who follows a leader of this term votes for nobody', () => {
  const voter = new Member(1n, THREE);
  voter.receive(MessageType.MsgHeartbeat, 2n, { term: 3 });
  assert.equal(soleAnswer(voter.receive(MessageType.MsgVote, 3n, LAST)).reject, true);
});

test('[RAFT1] who does not know itself to be a voter votes too', () => {
  const unaware = new Member(4n, THREE);
  for (const type of [MessageType.MsgPreVote, MessageType.MsgVote]) {
    const answer = soleAnswer(unaware.receive(type, 2n, { term: 2, ...LAST }));
    assert.equal(answer.reject, false);
  }
  assert.equal(unaware.storage.hardState.vote, 2n);
});

test('[RAFT2] a vote only for a log that holds at least the own one', () => {
  for (const [index, logTerm, granted] of [
    [4, 3, true],
    [9, 3, true],
    [2, 4, true],
    [3, 3, false],
    [9, 2, false],
  ] as const) {
    const voter = new Member(1n, THREE, { entries: entriesOfTerms(2, 3, 3) });
    const answer = voter.receive(MessageType.MsgVote, 2n, { term: 5, index, logTerm });
    assert.equal(soleAnswer(answer).reject, !granted, `${index} of ${logTerm}`);
  }
});

test('[RAFT3] the own vote counts when its Ready is settled, not before', () => {
  const single = new Member(1n, [1n]);
  single.node.campaign();
  const ready = single.node.ready();
  assert.equal(single.node.status().role, 'candidate');
  assert.deepEqual(ready.persist.hardState, { term: 2, vote: 1n, commit: 1 });
  single.settle(ready);
  assert.equal(single.node.status().role, 'leader');
});

test('[RAFT3] the grants of others do not win before the own vote is stored', () => {
  const candidate = new Member(1n, [1n, 2n]);
  candidate.node.campaign();
  const ready = candidate.node.ready();
  const grant = { type: MessageType.MsgVoteResp, from: 2n, to: 1n, term: 2 };
  candidate.node.step({ ...ready.sendAfterPersist[0]!, ...grant });
  assert.equal(candidate.node.status().role, 'candidate');
  candidate.settle(ready);
  assert.equal(candidate.node.status().role, 'leader');
});

test('[RAFT4] a later term makes a follower of every role', () => {
  for (const role of ['follower', 'candidate', 'leader'] as const) {
    const group = new Group(3);
    const node = group.member(1n);
    if (role === 'candidate') node.node.campaign();
    if (role === 'leader') group.elect(1n);
    assert.equal(node.node.status().role, role);
    node.receive(MessageType.MsgHeartbeat, 2n, { term: 9 });
    const { leader, term, role: now } = node.node.status();
    assert.deepEqual([now, leader, term], ['follower', 2n, 9]);
  }
});

test('[RAFT4] an answer of a later term names no leader', () => {
  const group = new Group(3);
  group.elect(1n);
  group.member(1n).receive(MessageType.MsgHeartbeatResp, 2n, { term: 9 });
  const { role, leader, term } = group.member(1n).node.status();
  assert.deepEqual([role, leader, term], ['follower', 0n, 9]);
});

test('[RAFT4] a message of an earlier term changes nothing', () => {
  const node = new Member(1n, THREE, { hardState: { term: 5 } });
  assert.deepEqual(node.receive(MessageType.MsgApp, 2n, { term: 4, ...LAST }), []);
  assert.deepEqual(node.receive(MessageType.MsgVote, 2n, { term: 4, ...LAST }), []);
  assert.equal(node.node.status().leader, 0n);
});

test('[RAFT6] a majority of grants wins, a majority of refusals loses', () => {
  for (const [granted, refused, role] of [
    [0, 0, 'candidate'],
    [1, 0, 'candidate'],
    [2, 0, 'leader'],
    [2, 2, 'leader'],
    [1, 2, 'candidate'],
    [1, 3, 'follower'],
    [0, 3, 'follower'],
  ] as const) {
    const candidate = new Member(1n, [1n, 2n, 3n, 4n, 5n]);
    candidate.node.campaign();
    candidate.work();
    for (let from = 2n; from < 2n + BigInt(granted + refused); from += 1n) {
      const reject = from >= 2n + BigInt(granted);
      candidate.receive(MessageType.MsgVoteResp, from, { term: 2, reject });
    }
    assert.equal(candidate.node.status().role, role, `${granted} against ${refused}`);
  }
});

test('[RAFT6] the same vote twice counts once', () => {
  const candidate = new Member(1n, [1n, 2n, 3n, 4n, 5n]);
  candidate.node.campaign();
  candidate.work();
  candidate.receive(MessageType.MsgVoteResp, 2n, {});
  candidate.receive(MessageType.MsgVoteResp, 2n, {});
  assert.equal(candidate.node.status().role, 'candidate');
});

test('[RAFT6] a candidate yields to a leader of its own term, whatever it sends', () => {
  for (const type of [MessageType.MsgApp, MessageType.MsgHeartbeat, MessageType.MsgSnap]) {
    const candidate = new Member(1n, THREE);
    candidate.node.campaign();
    candidate.work();
    candidate.receive(type, 2n, { ...LAST });
    const { role, leader } = candidate.node.status();
    assert.deepEqual([role, leader], ['follower', 2n]);
  }
});

test('[RAFT7] asking for a pre-vote changes no term and no vote', () => {
  const asker = new Member(1n, THREE, { preVote: true });
  asker.node.campaign();
  const requests = asker.work();
  assert.deepEqual(
    requests.map(({ type, term }) => [type, term]),
    [
      [MessageType.MsgPreVote, 2],
      [MessageType.MsgPreVote, 2],
    ],
  );
  assert.deepEqual(asker.storage.hardState, { term: 1, vote: 0n, commit: 0 });
  const asked = new Member(2n, THREE);
  const answer = soleAnswer(asked.receive(MessageType.MsgPreVote, 1n, { term: 2, ...LAST }));
  assert.deepEqual([answer.reject, answer.term], [false, 2]);
  assert.deepEqual(asked.storage.hardState, { term: 1, vote: 0n, commit: 0 });
});

test('[RAFT7] a majority of consents starts the real election, a majority of refusals ends it', () => {
  for (const reject of [false, true]) {
    const asker = new Member(1n, THREE, { preVote: true });
    asker.node.campaign();
    asker.work();
    const term = reject ? 1 : 2;
    asker.receive(MessageType.MsgPreVoteResp, 2n, { term, reject });
    asker.receive(MessageType.MsgPreVoteResp, 3n, { term, reject });
    const { role, term: now } = asker.node.status();
    assert.deepEqual([role, now], reject ? ['follower', 1] : ['candidate', 2]);
  }
});

test('[RAFT7] a refused pre-vote of a later term brings that term', () => {
  const asker = new Member(1n, THREE, { preVote: true });
  asker.node.campaign();
  asker.work();
  asker.receive(MessageType.MsgPreVoteResp, 2n, { term: 7, reject: true });
  const { role, term } = asker.node.status();
  assert.deepEqual([role, term], ['follower', 7]);
});

test('[RAFT7] a node cut off with pre-vote comes back without disturbing anyone', () => {
  const group = new Group(3, { preVote: true, checkQuorum: true });
  group.elect(1n);
  group.isolate(3n);
  group.tick(3n, 50);
  group.heal();
  group.tick(3n, 20);
  group.tick(1n, 1);
  const { term, role } = group.member(1n).node.status();
  assert.deepEqual([term, role, group.member(3n).node.status().leader], [2, 'leader', 1n]);
});

test('[RAFT8] a request for votes within the lease is ignored, its term too', () => {
  const voter = new Member(1n, THREE, { checkQuorum: true });
  voter.receive(MessageType.MsgHeartbeat, 2n, { term: 2 });
  const ask = (context?: Uint8Array): readonly Message[] =>
    voter.receive(MessageType.MsgVote, 3n, { term: 8, ...LAST, context });
  assert.deepEqual(ask(), []);
  assert.equal(voter.node.status().term, 2);
  assert.deepEqual(ask(Buffer.from('CampaignTransfe!')), []);
  assert.equal(soleAnswer(ask(Buffer.from('CampaignTransfer'))).reject, false);
});

test('[RAFT8] the lease ends an election timeout after the last word', () => {
  const voter = new Member(1n, THREE, { checkQuorum: true, randBelow: (limit) => limit - 1 });
  voter.receive(MessageType.MsgHeartbeat, 2n, { term: 2 });
  voter.tick(9);
  assert.deepEqual(voter.receive(MessageType.MsgVote, 3n, { term: 8, ...LAST }), []);
  voter.tick(1);
  assert.equal(soleAnswer(voter.receive(MessageType.MsgVote, 3n, { term: 8, ...LAST })).term, 8);
});

test('[RAFT10] a leader whose time is over learns it where later terms are not followed at once', () => {
  for (const [options, answered] of [
    [{ checkQuorum: true }, true],
    [{ preVote: true }, true],
    [{}, false],
  ] as const) {
    const node = new Member(1n, THREE, { ...options, hardState: { term: 5 } });
    for (const type of [MessageType.MsgHeartbeat, MessageType.MsgApp]) {
      const answers = node.receive(type, 2n, { term: 3, ...LAST });
      assert.deepEqual(
        answers.map(({ type: kind, term }) => [kind, term]),
        answered ? [[MessageType.MsgAppResp, 5]] : [],
      );
    }
    const [refusal] = node.receive(MessageType.MsgPreVote, 2n, { term: 3, ...LAST });
    assert.deepEqual([refusal?.reject, refusal?.term], [true, 5]);
  }
});

test('[RAFT11] who is not a voter does not stand for election', () => {
  const stranger = new Member(4n, THREE);
  assert.deepEqual(stranger.tick(50), []);
  stranger.node.campaign();
  assert.deepEqual(stranger.work(), []);
});

test('[RAFT11] nor does who has a snapshot to store', () => {
  const receiver = new Member(1n, THREE);
  const metadata = { index: 9, term: 1, confState: toConfState(THREE) };
  const snapshot = { data: undefined, metadata };
  receiver.node.step(
    Message.create({ type: MessageType.MsgSnap, from: 2n, to: 1n, term: 1, snapshot }),
  );
  const ready = receiver.node.ready();
  receiver.node.campaign();
  assert.equal(receiver.node.status().role, 'follower');
  receiver.settle(ready);
  receiver.node.campaign();
  assert.equal(receiver.node.status().role, 'candidate');
});

test('[RAFT11] nor who has a committed configuration change to apply', () => {
  const follower = new Member(2n, THREE);
  const type = EntryType.EntryConfChange;
  const entries = [{ type, term: 1, index: 2, data: ConfChange.encode(change('remove', 3n)) }];
  follower.node.step(
    Message.create({
      type: MessageType.MsgApp,
      from: 1n,
      to: 2n,
      term: 1,
      ...LAST,
      entries,
      commit: 2,
    }),
  );
  follower.node.campaign();
  assert.equal(follower.node.status().role, 'follower');
  follower.work();
  follower.node.campaign();
  assert.equal(follower.node.status().role, 'candidate');
});
