/**
 * What a leader does with its followers' answers.
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import type { Handlers } from './handlers.ts';
import type { Progress } from './progress.ts';
import type { RaftState } from './raft-state.ts';
import { acknowledgeRead, releaseEarlyReads } from './read-index.ts';
import { advanceCommit, broadcastAppend, sendAppend, sendPendingEntries } from './replication.ts';
import { continueTransfer } from './transfer.ts';

export const LEADER: Handlers = {
  [MessageType.MsgAppResp]: acceptAppendAnswer,
  [MessageType.MsgHeartbeatResp]: acceptHeartbeatAnswer,
};

/** The transport could not reach `peer`: what is on the way to it is probably lost. */
export function reportUnreachable(raft: RaftState, peer: bigint): void {
  if (raft.role !== 'leader' || !raft.tracker.has(peer)) return;
  const progress = raft.tracker.get(peer);
  if (progress.state === 'replicate') progress.becomeProbe();
}

/** The transport brought a snapshot to `peer`, or failed to. */
export function reportSnapshot(raft: RaftState, peer: bigint, arrived: boolean): void {
  if (raft.role !== 'leader' || !raft.tracker.has(peer)) return;
  const progress = raft.tracker.get(peer);
  if (progress.state === 'snapshot') progress.snapshotReported(arrived);
}

function acceptAppendAnswer(raft: RaftState, message: Message): void {
  if (!raft.tracker.has(message.from)) return;
  const progress = raft.tracker.get(message.from);
  progress.recentActive = true;
  if (message.reject) retreat(raft, progress, message);
  else progressed(raft, progress, message);
}

/** Finds with the follower's hint where to try next, and tries there. */
function retreat(raft: RaftState, progress: Progress, message: Message): void {
  const { index, rejectHint, logTerm, from } = message;
  const agreed = logTerm > 0 ? raft.log.findConflictByTerm(rejectHint, logTerm).index : rejectHint;
  if (!progress.refuse(index, agreed)) return;
  if (progress.state === 'replicate') progress.becomeProbe();
  sendAppend(raft, from);
}

function progressed(raft: RaftState, progress: Progress, { from, index }: Message): void {
  // A probe that agrees at what was known already still ends the probing.
  const agrees = progress.match === index && progress.state === 'probe';
  if (!progress.acknowledge(index) && !agrees) return;
  resumeReplication(raft, progress, index);
  if (advanceCommit(raft)) {
    releaseEarlyReads(raft);
    broadcastAppend(raft);
  } else if (from !== raft.id && progress.canBumpCommit(raft.log.committed)) {
    sendAppend(raft, from);
  }
  if (from === raft.id) return;
  sendPendingEntries(raft, from);
  continueTransfer(raft, from);
}

function resumeReplication(raft: RaftState, progress: Progress, index: number): void {
  switch (progress.state) {
    case 'probe':
      progress.becomeReplicate();
      return;
    case 'replicate':
      progress.freeInflightTo(index);
      return;
    case 'snapshot':
      // Whatever snapshot the follower took, it ends it if the log goes on from there.
      if (progress.match + 1 >= raft.log.firstIndex) progress.becomeReplicate();
  }
}

function acceptHeartbeatAnswer(raft: RaftState, message: Message): void {
  if (!raft.tracker.has(message.from)) return;
  const progress = raft.tracker.get(message.from);
  progress.recentActive = true;
  progress.resume();
  const behind = progress.match < raft.log.lastIndex;
  if (behind || progress.state === 'probe') sendAppend(raft, message.from);
  if (message.context !== undefined) acknowledgeRead(raft, message.from, message.context);
}
