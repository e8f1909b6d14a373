/**
 * What a follower does with a message of its term.
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import { acceptAppend, acceptHeartbeat, acceptSnapshot } from './accept.ts';
import { NONE } from './configuration.ts';
import { standForElection } from './election.ts';
import type { Handlers } from './handlers.ts';
import type { RaftState } from './raft-state.ts';
import { acceptReadIndex } from './read-index.ts';

/** Ticks of two nodes come at different times: two make sure of a whole one in between. */
const TICKS_BETWEEN_FOLLOWERS = 2;

export const FOLLOWER: Handlers = {
  [MessageType.MsgApp]: (raft, message) => obey(raft, message, acceptAppend),
  [MessageType.MsgHeartbeat]: (raft, message) => obey(raft, message, acceptHeartbeat),
  [MessageType.MsgSnap]: (raft, message) => obey(raft, message, acceptSnapshot),
  // The leader itself asks for it, so no pre-vote: the cluster is in no danger of disturbance.
  [MessageType.MsgTimeoutNow]: (raft) => standForElection(raft, true),
  [MessageType.MsgReadIndexResp]: acceptReadIndex,
};

/**
 * Forgets who leads, so that another may be voted for before the lease ends. Not with lease-based
 * reads: they stand on that lease.
 */
export function forgetLeader(raft: RaftState): void {
  if (raft.role !== 'follower' || raft.settings.readOnlyOption === 'lease-based') return;
  raft.leader = NONE;
}

/**
 * The leader is gone, and that is known sooner than its silence would tell. It is forgotten, and this
 * follower stands for election: once a leader that lives after all would have spoken, and one follower
 * after the other, so that they do not split the vote.
 */
export function leaderGone(raft: RaftState): void {
  const { leader } = raft;
  forgetLeader(raft);
  if (leader === NONE || raft.leader !== NONE) return;
  const rank = raft.tracker.voters.filter((id) => id !== leader).indexOf(raft.id);
  raft.ticksToStand = raft.settings.heartbeatTicks + 1 + rank * TICKS_BETWEEN_FOLLOWERS;
}

function obey(
  raft: RaftState,
  message: Message,
  accept: (raft: RaftState, message: Message) => void,
): void {
  raft.electionElapsed = 0;
  raft.ticksToStand = Infinity;
  raft.leader = message.from;
  accept(raft, message);
}
