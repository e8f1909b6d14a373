/**
 * The way of every message: first its term decides whose time it is (raft paper section 5.1), then
 * the role decides what to do.
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from './configuration.ts';
import { answerVoteRequest, isDisturbance, isVoteRequest } from './election.ts';
import type { Handlers } from './handlers.ts';
import { propose } from './proposal.ts';
import type { RaftState } from './raft-state.ts';
import { requestRead } from './read-index.ts';
import type { Refusal } from './refusal.ts';
import { becomeFollower } from './roles.ts';
import { CANDIDATE, PRE_CANDIDATE } from './step-candidate.ts';
import { FOLLOWER, forgetLeader } from './step-follower.ts';
import { LEADER } from './step-leader.ts';
import type { Role } from './trace.ts';
import { transferLeadership } from './transfer.ts';

const HANDLERS: { readonly [role in Role]: Handlers } = {
  follower: FOLLOWER,
  'pre-candidate': PRE_CANDIDATE,
  candidate: CANDIDATE,
  leader: LEADER,
};

/** Takes in one message of another node, or this node's own answer to itself. */
export function step(raft: RaftState, message: Message): Refusal | null {
  if (message.term > raft.term && !acceptTerm(raft, message)) return null;
  if (message.term !== 0 && message.term < raft.term) {
    answerThePast(raft, message);
    return null;
  }
  if (message.type === MessageType.MsgProp) return propose(raft, message.from, message.entries);
  if (isVoteRequest(message)) answerVoteRequest(raft, message);
  else if (message.type === MessageType.MsgReadIndex) requestRead(raft, message);
  else if (message.type === MessageType.MsgForgetLeader) forgetLeader(raft);
  else if (message.type === MessageType.MsgTransferLeader) transferLeadership(raft, message.from);
  else HANDLERS[raft.role][message.type]?.(raft, message);
  return null;
}

/** Messages that only a leader sends: they name it. */
const OF_LEADER: ReadonlySet<MessageType> = new Set([
  MessageType.MsgApp,
  MessageType.MsgHeartbeat,
  MessageType.MsgSnap,
]);

/** Follows a message into its later term. @returns false when the message is to be ignored. */
function acceptTerm(raft: RaftState, message: Message): boolean {
  if (isDisturbance(raft, message)) {
    raft.settings.trace?.({ kind: 'ignored', message, why: 'the leader was heard of lately' });
    return false;
  }
  // A pre-vote is about a term that may never come, and so is the consent to one.
  if (message.type === MessageType.MsgPreVote) return true;
  if (message.type === MessageType.MsgPreVoteResp && !message.reject) return true;
  becomeFollower(raft, message.term, OF_LEADER.has(message.type) ? message.from : NONE);
  return true;
}

/**
 * A message of an earlier term. Where later terms are not followed at once (quorum checks,
 * pre-votes), its sender might never learn that its time is over: an answer tells it.
 */
function answerThePast(raft: RaftState, message: Message): void {
  const { checkQuorum, preVote, trace } = raft.settings;
  const { type, from } = message;
  const leads = type === MessageType.MsgHeartbeat || type === MessageType.MsgApp;
  if (leads && (checkQuorum || preVote)) raft.send(MessageType.MsgAppResp, from);
  else if (type === MessageType.MsgPreVote) {
    raft.send(MessageType.MsgPreVoteResp, from, { reject: true });
  } else trace?.({ kind: 'ignored', message, why: 'of an earlier term' });
}
