/**
 * Handing leadership over (raft thesis section 3.10): the leader stops taking proposals, brings the
 * successor up to date and tells it to stand for election at once.
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from './configuration.ts';
import type { RaftState } from './raft-state.ts';
import { sendAppend } from './replication.ts';

/** Hands over to `transferee`, or passes the wish on to the leader. */
export function transferLeadership(raft: RaftState, transferee: bigint): void {
  if (raft.role === 'leader') startTransfer(raft, transferee);
  else if (raft.role === 'follower' && raft.leader !== NONE) {
    raft.send(MessageType.MsgTransferLeader, raft.leader, { from: transferee });
  }
}

/** The successor stored everything up to `match`: if that is all, its time has come. */
export function continueTransfer(raft: RaftState, from: bigint): void {
  if (from !== raft.transferee) return;
  if (raft.tracker.get(from).match === raft.log.lastIndex) sendTimeoutNow(raft, from);
}

function startTransfer(raft: RaftState, transferee: bigint): void {
  if (!raft.tracker.has(transferee) || transferee === raft.transferee) return;
  raft.transferee = NONE;
  if (transferee === raft.id) return;
  // One election timeout is all the time it gets.
  raft.electionElapsed = 0;
  raft.transferee = transferee;
  if (raft.tracker.get(transferee).match === raft.log.lastIndex) sendTimeoutNow(raft, transferee);
  else sendAppend(raft, transferee);
}

function sendTimeoutNow(raft: RaftState, to: bigint): void {
  raft.send(MessageType.MsgTimeoutNow, to);
}
