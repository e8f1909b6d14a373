/**
 * What the passing of time does. A tick is the only clock the core has.
 */
import { NONE } from './configuration.ts';
import { standForElection } from './election.ts';
import type { RaftState } from './raft-state.ts';
import { broadcastHeartbeat } from './replication.ts';
import { becomeFollower } from './roles.ts';

export function tick(raft: RaftState): void {
  if (raft.role === 'leader') tickLeader(raft);
  else tickOthers(raft);
}

function tickOthers(raft: RaftState): void {
  raft.electionElapsed += 1;
  raft.ticksToStand -= 1;
  const isTime = raft.electionElapsed >= raft.electionTimeout || raft.ticksToStand <= 0;
  if (!raft.promotable || !isTime) return;
  raft.electionElapsed = 0;
  raft.ticksToStand = Infinity;
  standForElection(raft);
}

function tickLeader(raft: RaftState): void {
  raft.electionElapsed += 1;
  raft.heartbeatElapsed += 1;
  if (raft.electionElapsed >= raft.settings.electionTicks) endLease(raft);
  if (raft.role !== 'leader' || raft.heartbeatElapsed < raft.settings.heartbeatTicks) return;
  raft.heartbeatElapsed = 0;
  broadcastHeartbeat(raft, raft.readOnly.lastContext);
}

/** Once an election timeout: a leader without a majority steps down, an unfinished handover ends. */
function endLease(raft: RaftState): void {
  raft.electionElapsed = 0;
  if (raft.settings.checkQuorum && !raft.tracker.checkQuorum(raft.id)) {
    becomeFollower(raft, raft.term, NONE);
  }
  raft.transferee = NONE;
}
