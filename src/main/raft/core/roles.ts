/**
 * The transitions between roles (raft paper figure 4, with the pre-candidate of the thesis).
 */
import assert from 'node:assert/strict';
import { EntryType } from '../../../shared/wire/gen/raftpb.ts';
import { NONE } from './configuration.ts';
import type { RaftState } from './raft-state.ts';
import { appendProposed } from './replication.ts';
import type { Role } from './trace.ts';

/** Follows `leader`, or waits for one when it is none. */
export function becomeFollower(raft: RaftState, term: number, leader: bigint): void {
  raft.reset(term);
  raft.leader = leader;
  enter(raft, 'follower');
}

/** Asks around first; neither the term nor the vote changes. */
export function becomePreCandidate(raft: RaftState): void {
  assert(raft.role !== 'leader', 'a leader does not stand for election');
  raft.tracker.resetVotes();
  raft.leader = NONE;
  enter(raft, 'pre-candidate');
}

export function becomeCandidate(raft: RaftState): void {
  assert(raft.role !== 'leader', 'a leader does not stand for election');
  raft.reset(raft.term + 1);
  raft.vote = raft.id;
  enter(raft, 'candidate');
}

/**
 * Leads, starting with an empty entry of the new term, without which nothing older could commit
 * (section 5.4.2). Configuration changes wait until all that is in the log is applied.
 */
export function becomeLeader(raft: RaftState): void {
  assert(raft.role === 'candidate', `a ${raft.role} cannot become leader`);
  raft.reset(raft.term);
  raft.leader = raft.id;
  enter(raft, 'leader');
  const own = raft.tracker.get(raft.id);
  own.becomeReplicate();
  own.recentActive = true;
  raft.pendingConfIndex = raft.log.lastIndex;
  const appended = appendProposed(raft, [{ type: EntryType.EntryNormal, data: undefined }]);
  assert(appended, 'an empty entry always fits');
}

function enter(raft: RaftState, role: Role): void {
  raft.role = role;
  raft.settings.trace?.({ kind: 'role', role, term: raft.term, leader: raft.leader });
}
