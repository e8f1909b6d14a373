/**
 * The set of voters and how single changes transform it (raft thesis section 4.1: one voter at a
 * time, so that every old majority overlaps every new one).
 */
import { ConfChange, ConfChangeType, EntryType } from '../../../shared/wire/gen/raftpb.ts';
import type { ConfState, Entry } from '../../../shared/wire/gen/raftpb.ts';
import { ConfigurationError, refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';

/** Voters in ascending order, each once. */
export type Voters = readonly bigint[];

/** No node: the zero of raft ids. */
export const NONE = 0n;

export function toConfState(voters: Voters): ConfState {
  return { voters, learners: [], votersOutgoing: [], learnersNext: [], autoLeave: false };
}

/**
 * The voters of a stored configuration.
 * @throws ConfigurationError when it has learners or is a joint one.
 */
export function fromConfState(state: ConfState): Voters {
  const others = [state.learners, state.votersOutgoing, state.learnersNext];
  if (others.some((ids) => ids.length > 0)) throw new ConfigurationError('CONF_CHANGE_UNSUPPORTED');
  return sorted(new Set(state.voters));
}

/**
 * The voters after `change`. A change of node 0 changes nothing: that is how an application voids
 * a change that it turned down.
 * @throws ConfigurationError when the kind of change is unknown or nobody would be left.
 */
export function changed(voters: Voters, change: ConfChange): Voters {
  const refusal = checkChange(voters, change);
  if (refusal !== null) throw new ConfigurationError(refusal.code);
  const next = new Set(voters);
  if (change.nodeId === NONE) return voters;
  if (change.type === ConfChangeType.ConfChangeAddNode) next.add(change.nodeId);
  if (change.type === ConfChangeType.ConfChangeRemoveNode) next.delete(change.nodeId);
  return sorted(next);
}

/** Why an entry may not be proposed as a configuration change, or `null`. */
export function checkProposal(voters: Voters, entry: Entry): Refusal | null {
  if (entry.type !== EntryType.EntryConfChange) return refuse('CONF_CHANGE_UNSUPPORTED');
  return checkChange(voters, ConfChange.decode(entry.data ?? new Uint8Array()));
}

const SUPPORTED: ReadonlySet<ConfChangeType> = new Set([
  ConfChangeType.ConfChangeAddNode,
  ConfChangeType.ConfChangeRemoveNode,
  ConfChangeType.ConfChangeUpdateNode,
]);

function checkChange(voters: Voters, change: ConfChange): Refusal | null {
  if (!SUPPORTED.has(change.type)) return refuse('CONF_CHANGE_UNSUPPORTED');
  const removes = change.type === ConfChangeType.ConfChangeRemoveNode;
  const leavesNobody = removes && voters.length === 1 && voters[0] === change.nodeId;
  return leavesNobody ? refuse('CONF_CHANGE_LEAVES_NOBODY') : null;
}

function sorted(ids: ReadonlySet<bigint>): Voters {
  return [...ids].toSorted((a, b) => (a < b ? -1 : 1));
}
