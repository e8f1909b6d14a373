/**
 * Taking a configuration into use: when a change is applied, and when a snapshot brings one.
 */
import type { ConfChange, ConfState } from '../../../shared/wire/gen/raftpb.ts';
import { NONE, changed, fromConfState, toConfState } from './configuration.ts';
import type { Voters } from './configuration.ts';
import type { RaftState } from './raft-state.ts';
import { advanceCommit, broadcastAppend, broadcastPendingEntries } from './replication.ts';
import { becomeFollower } from './roles.ts';

/** Applies a committed change. @throws ConfigurationError when this node cannot follow it. */
export function applyConfChange(raft: RaftState, change: ConfChange): ConfState {
  switchTo(raft, changed(raft.tracker.voters, change));
  return toConfState(raft.tracker.voters);
}

/** Takes over the configuration of a snapshot. @throws ConfigurationError as above. */
export function restoreConfState(raft: RaftState, state: ConfState): void {
  switchTo(raft, fromConfState(state));
}

function switchTo(raft: RaftState, voters: Voters): void {
  const { tracker, log, settings } = raft;
  tracker.setVoters(voters, log.lastIndex);
  settings.trace?.({ kind: 'configuration', voters });
  if (raft.role !== 'leader') return;
  if (!tracker.has(raft.id)) {
    if (settings.stepDownOnRemoval) becomeFollower(raft, raft.term, NONE);
    return;
  }
  // Fewer voters may need fewer acknowledgements; new ones need not wait for a heartbeat.
  if (advanceCommit(raft)) broadcastAppend(raft);
  else broadcastPendingEntries(raft);
  if (!tracker.has(raft.transferee)) raft.transferee = NONE;
}
