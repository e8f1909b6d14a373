/**
 * What a candidate or pre-candidate does with a message: count votes, or yield to a leader of its
 * own term.
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import { acceptAppend, acceptHeartbeat, acceptSnapshot } from './accept.ts';
import { NONE } from './configuration.ts';
import { campaign } from './election.ts';
import type { Handler, Handlers } from './handlers.ts';
import type { RaftState } from './raft-state.ts';
import { broadcastAppend } from './replication.ts';
import { becomeFollower, becomeLeader } from './roles.ts';

const YIELDING: Handlers = {
  [MessageType.MsgApp]: yieldTo(acceptAppend),
  [MessageType.MsgHeartbeat]: yieldTo(acceptHeartbeat),
  [MessageType.MsgSnap]: yieldTo(acceptSnapshot),
};

export const CANDIDATE: Handlers = {
  ...YIELDING,
  [MessageType.MsgVoteResp]: (raft, message) => countVote(raft, message, lead),
};

export const PRE_CANDIDATE: Handlers = {
  ...YIELDING,
  [MessageType.MsgPreVoteResp]: (raft, message) =>
    countVote(raft, message, () => campaign(raft, 'vote')),
};

function countVote(raft: RaftState, message: Message, onWon: Handler): void {
  const result = raft.tracker.recordVote(message.from, !message.reject);
  if (result === 'won') onWon(raft, message);
  // Our own term: a pre-vote's answer names the one that was asked for.
  if (result === 'lost') becomeFollower(raft, raft.term, NONE);
}

function lead(raft: RaftState): void {
  becomeLeader(raft);
  broadcastAppend(raft);
}

function yieldTo(accept: Handler): Handler {
  return (raft, message) => {
    becomeFollower(raft, message.term, message.from);
    accept(raft, message);
  };
}
