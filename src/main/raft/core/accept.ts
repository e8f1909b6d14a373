/**
 * Obeying a leader: its appends, heartbeats and snapshots (raft paper sections 5.3 and 7).
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message, Snapshot } from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from './configuration.ts';
import { restoreConfState } from './membership.ts';
import type { RaftState } from './raft-state.ts';
import { becomeFollower } from './roles.ts';

/** Appends what fits; otherwise tells where the logs may agree, so that few probes find it. */
export function acceptAppend(raft: RaftState, message: Message): void {
  const { log } = raft;
  const { from, index, logTerm, entries, commit } = message;
  if (index < log.committed) {
    raft.send(MessageType.MsgAppResp, from, { index: log.committed });
    return;
  }
  const agreed = log.tryAppend({ index, term: logTerm }, entries, commit);
  if (agreed !== null) {
    raft.send(MessageType.MsgAppResp, from, { index: agreed });
    return;
  }
  const hint = log.findConflictByTerm(Math.min(index, log.lastIndex), logTerm);
  raft.send(MessageType.MsgAppResp, from, {
    index,
    reject: true,
    rejectHint: hint.index,
    logTerm: hint.term,
  });
}

export function acceptHeartbeat(raft: RaftState, message: Message): void {
  raft.log.commitTo(message.commit);
  raft.send(MessageType.MsgHeartbeatResp, message.from, { context: message.context });
}

export function acceptSnapshot(raft: RaftState, message: Message): void {
  const restored = message.snapshot !== undefined && restore(raft, message.snapshot);
  const index = restored ? raft.log.lastIndex : raft.log.committed;
  raft.send(MessageType.MsgAppResp, message.from, { index });
}

/** @returns whether the log was replaced. */
function restore(raft: RaftState, snapshot: Snapshot): boolean {
  const { index, term, confState } = snapshot.metadata;
  const { log } = raft;
  if (index <= log.committed) return false;
  if (raft.role !== 'follower') {
    // No caller lets this happen; were one to, leaving the term is the safe way out.
    becomeFollower(raft, raft.term + 1, NONE);
    return false;
  }
  // A node that the snapshot does not know would lose sight of everyone.
  if (!confState.voters.includes(raft.id)) return false;
  if (log.matches({ term, index })) {
    log.commitTo(index);
    return false;
  }
  log.restore(snapshot);
  restoreConfState(raft, confState);
  raft.settings.trace?.({ kind: 'snapshot-restored', index, term });
  return true;
}
