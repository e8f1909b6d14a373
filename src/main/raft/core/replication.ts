/**
 * The leader's side of log replication: appends, heartbeats, snapshots and the commit mark (raft
 * paper sections 5.3 and 5.4.2).
 */
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Entry } from '../../../shared/wire/gen/raftpb.ts';
import { payloadBytes } from './entry-size.ts';
import type { Progress } from './progress.ts';
import type { RaftState } from './raft-state.ts';

/** An entry as proposed: the leader gives it its place. */
export type Proposed = Pick<Entry, 'type' | 'data'>;

/**
 * Appends `proposed` to the leader's own log, to be acknowledged by itself once it is durable.
 * @returns false, with nothing done, when the uncommitted tail would outgrow its limit. An empty
 * tail takes a proposal of any size.
 */
export function appendProposed(raft: RaftState, proposed: readonly Proposed[]): boolean {
  const last = raft.log.lastIndex;
  const entries = proposed.map(({ type, data }, at) => {
    return { term: raft.term, index: last + 1 + at, type, data };
  });
  const bytes = payloadBytes(entries);
  const limit = raft.settings.maxUncommittedEntriesSize;
  if (bytes > 0 && raft.uncommittedBytes > 0 && raft.uncommittedBytes + bytes > limit) return false;
  raft.uncommittedBytes += bytes;
  raft.log.append(entries);
  raft.send(MessageType.MsgAppResp, raft.id, { index: raft.log.lastIndex });
  return true;
}

/** Sends an append to `to`, an empty one if need be. */
export function sendAppend(raft: RaftState, to: bigint): void {
  trySendAppend(raft, to, true);
}

/** Sends appends as long as there are entries and room for them on the way. */
export function sendPendingEntries(raft: RaftState, to: bigint): void {
  while (trySendAppend(raft, to, false));
}

export function broadcastAppend(raft: RaftState): void {
  for (const id of raft.tracker.progress.keys()) {
    if (id !== raft.id) sendAppend(raft, id);
  }
}

/** Probes everyone who has entries to get. */
export function broadcastPendingEntries(raft: RaftState): void {
  for (const id of raft.tracker.progress.keys()) {
    if (id !== raft.id) trySendAppend(raft, id, false);
  }
}

/** A heartbeat to everyone. It never tells a commit beyond what that follower is known to hold. */
export function broadcastHeartbeat(raft: RaftState, context: Uint8Array | undefined): void {
  for (const [id, progress] of raft.tracker.progress) {
    if (id === raft.id) continue;
    const commit = Math.min(progress.match, raft.log.committed);
    raft.send(MessageType.MsgHeartbeat, id, { commit, context });
    progress.sentCommit(commit);
  }
}

/**
 * Commits what a majority has stored, but only through an entry of the leader's own term: older
 * ones commit with it (section 5.4.2). @returns whether the commit mark moved.
 */
export function advanceCommit(raft: RaftState): boolean {
  return raft.log.tryCommit({ term: raft.term, index: raft.tracker.committed() });
}

function trySendAppend(raft: RaftState, to: bigint, evenEmpty: boolean): boolean {
  const progress = raft.tracker.get(to);
  if (progress.paused) return false;
  const { log, settings } = raft;
  const index = progress.next - 1;
  const logTerm = log.term(index);
  if (logTerm === null) return trySendSnapshot(raft, to, progress);
  // Full inflights still let an empty append through: were all of them lost, nothing else would
  // ever bring the follower back.
  const entries = progress.mayCarryEntries
    ? log.entries(progress.next, settings.maxSizePerMsg)
    : [];
  if (entries === null) return trySendSnapshot(raft, to, progress);
  if (entries.length === 0 && !evenEmpty) return false;
  const commit = log.committed;
  raft.send(MessageType.MsgApp, to, { index, logTerm, entries, commit });
  progress.sentAppend(entries.length, payloadBytes(entries), commit);
  return true;
}

/** A snapshot goes only to a follower that lately gave a sign of life. */
function trySendSnapshot(raft: RaftState, to: bigint, progress: Progress): boolean {
  const snapshot = progress.recentActive ? raft.log.snapshot() : null;
  if (snapshot === null) return false;
  progress.becomeSnapshot(snapshot.metadata.index);
  raft.send(MessageType.MsgSnap, to, { snapshot });
  return true;
}
