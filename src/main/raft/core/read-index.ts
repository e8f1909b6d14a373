/**
 * Linearizable reads without a log entry (raft thesis section 6.4): the leader notes its commit
 * index, makes sure that it still leads, and says from which index on the read may be answered.
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Message } from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from './configuration.ts';
import type { RaftState } from './raft-state.ts';
import { contextOf } from './read-only.ts';
import { broadcastHeartbeat } from './replication.ts';

/** A read request, of this node or of a follower. Without a known leader it is lost. */
export function requestRead(raft: RaftState, request: Message): void {
  if (raft.role === 'leader') readAsLeader(raft, request);
  else if (raft.role === 'follower' && raft.leader !== NONE) {
    raft.send(MessageType.MsgReadIndex, raft.leader, {
      from: request.from,
      entries: request.entries,
    });
  }
}

/** The leader's answer to a read that this follower passed on. */
export function acceptReadIndex(raft: RaftState, message: Message): void {
  if (message.entries.length !== 1) return;
  raft.readStates.push({ index: message.index, context: contextOf(message) });
}

/** A heartbeat with a read's context came back from `from`. */
export function acknowledgeRead(raft: RaftState, from: bigint, context: Uint8Array): void {
  if (raft.settings.readOnlyOption !== 'safe' || context.length === 0) return;
  const acknowledged = raft.readOnly.acknowledge(from, context);
  if (!raft.tracker.isMajority(acknowledged)) return;
  for (const { request, index } of raft.readOnly.release(context)) answer(raft, request, index);
}

/** The leader committed in its own term: reads that came too early may go on. */
export function releaseEarlyReads(raft: RaftState): void {
  if (raft.earlyReads.length === 0 || !hasCommittedInTerm(raft)) return;
  const requests = raft.earlyReads;
  raft.earlyReads = [];
  for (const request of requests) confirm(raft, request);
}

function readAsLeader(raft: RaftState, request: Message): void {
  // Before its first commit the leader may not know of all that was committed before it: neither by
  // its predecessors, nor by itself before a crash that cost it its commit mark.
  if (hasCommittedInTerm(raft)) confirm(raft, request);
  else raft.earlyReads.push(request);
}

function confirm(raft: RaftState, request: Message): void {
  if (raft.settings.readOnlyOption === 'lease-based' || isSoleVoter(raft)) {
    answer(raft, request, raft.log.committed);
    return;
  }
  const context = contextOf(request);
  raft.readOnly.add(request, raft.log.committed);
  raft.readOnly.acknowledge(raft.id, context);
  broadcastHeartbeat(raft, context);
}

function answer(raft: RaftState, request: Message, index: number): void {
  if (request.from === NONE || request.from === raft.id) {
    raft.readStates.push({ index, context: contextOf(request) });
    return;
  }
  raft.send(MessageType.MsgReadIndexResp, request.from, { index, entries: request.entries });
}

/** Whether this node is a majority by itself. */
export function isSoleVoter({ id, tracker }: RaftState): boolean {
  return tracker.voters.length === 1 && tracker.voters[0] === id;
}

function hasCommittedInTerm(raft: RaftState): boolean {
  return raft.log.term(raft.log.committed) === raft.term;
}
