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

function obey(
  raft: RaftState,
  message: Message,
  accept: (raft: RaftState, message: Message) => void,
): void {
  raft.electionElapsed = 0;
  raft.leader = message.from;
  accept(raft, message);
}
