/**
 * Proposals: taken by the leader, passed on by a follower that is set to, dropped otherwise.
 */
import { EntryType, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { Entry } from '../../../shared/wire/gen/raftpb.ts';
import { NONE, checkProposal } from './configuration.ts';
import type { RaftState } from './raft-state.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { appendProposed, broadcastAppend } from './replication.ts';

/** Proposes `entries` on behalf of node `from`. All of them are taken, or none. */
export function propose(raft: RaftState, from: bigint, entries: readonly Entry[]): Refusal | null {
  if (raft.role === 'leader') return proposeAsLeader(raft, entries);
  const forwards = raft.role === 'follower' && raft.settings.forwardProposals;
  if (!forwards || raft.leader === NONE) return refuse('PROPOSAL_DROPPED');
  raft.send(MessageType.MsgProp, raft.leader, { from, entries });
  return null;
}

function proposeAsLeader(raft: RaftState, entries: readonly Entry[]): Refusal | null {
  // A leader that was removed, or that is handing over, must not let its log grow.
  if (!raft.tracker.has(raft.id) || raft.transferee !== NONE) return refuse('PROPOSAL_DROPPED');
  const previousConfIndex = raft.pendingConfIndex;
  const admitted: Entry[] = [];
  for (const entry of entries) {
    const refusal = isConfChange(entry) ? checkProposal(raft.tracker.voters, entry) : null;
    if (refusal !== null) {
      raft.pendingConfIndex = previousConfIndex;
      return refusal;
    }
    admitted.push(admit(raft, entry, raft.log.lastIndex + admitted.length + 1));
  }
  if (!appendProposed(raft, admitted)) {
    raft.pendingConfIndex = previousConfIndex;
    return refuse('PROPOSAL_DROPPED');
  }
  broadcastAppend(raft);
  return null;
}

/**
 * Lets one configuration change at a time into the log: while one may be unapplied, another becomes
 * an empty entry (raft thesis section 4.1).
 */
function admit(raft: RaftState, entry: Entry, index: number): Entry {
  if (!isConfChange(entry)) return entry;
  const pending = raft.pendingConfIndex > raft.log.applied;
  if (!pending || raft.settings.disableConfChangeValidation) {
    raft.pendingConfIndex = index;
    return entry;
  }
  const why = `a change at index ${raft.pendingConfIndex} may not be applied yet`;
  raft.settings.trace?.({ kind: 'conf-change-ignored', why });
  return { ...entry, type: EntryType.EntryNormal, data: undefined };
}

function isConfChange(entry: Entry): boolean {
  return entry.type !== EntryType.EntryNormal;
}
