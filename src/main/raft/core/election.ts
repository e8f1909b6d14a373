/**
 * Standing for election, and voting (raft paper section 5.2; pre-vote and the lease that keeps a
 * rejoining node from disturbing a live leader: thesis sections 9.6 and 6.2).
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from './configuration.ts';
import type { RaftState } from './raft-state.ts';
import { becomeCandidate, becomePreCandidate } from './roles.ts';

/** How a node stands for election. `transfer` is at the leader's own wish and breaks its lease. */
export type Campaign = 'pre-vote' | 'vote' | 'transfer';

/** The mark of a vote request that the leader itself asked for. */
const TRANSFER_CONTEXT: Uint8Array = new TextEncoder().encode('CampaignTransfer');

/** Stands for election unless something forbids it. */
export function standForElection(raft: RaftState, transfer = false): void {
  const why = unfitness(raft);
  if (why !== null) {
    raft.settings.trace?.({ kind: 'campaign-refused', why });
    return;
  }
  if (transfer) campaign(raft, 'transfer');
  else campaign(raft, raft.settings.preVote ? 'pre-vote' : 'vote');
}

/** Asks all voters for their vote, itself too: its own counts once it is durable. */
export function campaign(raft: RaftState, kind: Campaign): void {
  if (kind === 'pre-vote') becomePreCandidate(raft);
  else becomeCandidate(raft);
  const request = kind === 'pre-vote' ? MessageType.MsgPreVote : MessageType.MsgVote;
  const term = kind === 'pre-vote' ? raft.term + 1 : raft.term;
  const context = kind === 'transfer' ? TRANSFER_CONTEXT : undefined;
  const last = raft.log.lastId;
  for (const id of raft.tracker.voters) {
    if (id === raft.id) raft.send(responseTo(request), id, { term });
    else raft.send(request, id, { term, index: last.index, logTerm: last.term, context });
  }
}

/**
 * Whether a request for a vote in a later term is ignored, its term too, because the leader was
 * heard of within an election timeout and did not itself ask for a successor.
 */
export function isDisturbance(raft: RaftState, message: Message): boolean {
  if (!isVoteRequest(message)) return false;
  return raft.settings.checkQuorum && raft.inLease && !isTransfer(message.context);
}

export function isVoteRequest(message: Message): boolean {
  return message.type === MessageType.MsgVote || message.type === MessageType.MsgPreVote;
}

/**
 * Answers a request of this term, or a pre-vote of a later one. A node votes once a term, and only
 * for a log that holds at least what its own does (section 5.4.1). Pre-votes bind nobody.
 */
export function answerVoteRequest(raft: RaftState, message: Message): void {
  const early = message.type === MessageType.MsgPreVote && message.term > raft.term;
  const free = raft.vote === NONE && raft.leader === NONE;
  const mayVote = raft.vote === message.from || free || early;
  const granted = mayVote && raft.log.isUpToDate({ term: message.logTerm, index: message.index });
  raft.settings.trace?.({ kind: 'voted', message, granted });
  // A granted pre-vote names the term asked for; a refusal names ours, so that the asker learns it.
  const term = granted ? message.term : raft.term;
  raft.send(responseTo(message.type), message.from, { term, reject: !granted });
  if (!granted || message.type === MessageType.MsgPreVote) return;
  raft.electionElapsed = 0;
  raft.vote = message.from;
}

function unfitness(raft: RaftState): string | null {
  if (raft.role === 'leader') return 'already leading';
  if (!raft.promotable) return 'not a voter, or a snapshot is not stored yet';
  // An election among a configuration that is about to change could have two winners.
  if (raft.log.hasUnappliedConfChange()) return 'a configuration change is not applied yet';
  return null;
}

function responseTo(request: MessageType): MessageType {
  return request === MessageType.MsgPreVote ? MessageType.MsgPreVoteResp : MessageType.MsgVoteResp;
}

function isTransfer(context: Uint8Array | undefined): boolean {
  return (
    context?.length === TRANSFER_CONTEXT.length &&
    context.every((byte, at) => byte === TRANSFER_CONTEXT[at])
  );
}
