/**
 * The text form of messages, entries and states in raft scripts.
 */
import {
  ConfChange,
  ConfChangeV2,
  EntryType,
  MessageType,
} from '../../src/shared/wire/gen/raftpb.ts';
import type {
  ConfChangeSingle,
  ConfState,
  Entry,
  HardState,
  Message,
  Snapshot,
} from '../../src/shared/wire/gen/raftpb.ts';
import type { ProgressStatus } from '../../src/main/raft/core/progress.ts';
import type { Ready } from '../../src/main/raft/core/ready.ts';
import type { ReadState } from '../../src/main/raft/core/read-only.ts';
import type { Role } from '../../src/main/raft/core/trace.ts';

const ROLE_NAMES: { readonly [role in Role]: string } = {
  follower: 'StateFollower',
  'pre-candidate': 'StatePreCandidate',
  candidate: 'StateCandidate',
  leader: 'StateLeader',
};

const PROGRESS_NAMES = {
  probe: 'StateProbe',
  replicate: 'StateReplicate',
  snapshot: 'StateSnapshot',
} as const;

/** The letters of conf change kinds, by number: add, remove, update, learner. */
const CHANGE_LETTERS = ['v', 'r', 'u', 'l'];

export function describeRole(role: Role): string {
  return ROLE_NAMES[role];
}

/**
 * All lines of a Ready. `mustSync` is told by the caller: scripts do not sync all that we do.
 */
export function describeReady(ready: Ready, mustSync: boolean): readonly string[] {
  const { softState, readStates, persist, committed } = ready;
  const messages = [...ready.sendNow, ...ready.sendAfterPersist];
  const lines: string[] = [];
  if (softState !== null) {
    lines.push(`Lead:${softState.leader} State:${describeRole(softState.role)}`);
  }
  if (persist.hardState !== null) lines.push(`HardState ${describeHardState(persist.hardState)}`);
  if (readStates.length > 0) lines.push(`ReadStates [${readStates.map(describeRead).join(' ')}]`);
  if (persist.entries.length > 0) lines.push('Entries:', ...persist.entries.map(describeEntry));
  if (persist.snapshot !== null) lines.push(`Snapshot ${describeSnapshot(persist.snapshot)}`);
  if (committed.length > 0) lines.push('CommittedEntries:', ...committed.map(describeEntry));
  if (messages.length > 0) lines.push('Messages:', ...messages.flatMap(describeMessage));
  return lines.length === 0 ? ['<empty Ready>'] : [`Ready MustSync=${mustSync}:`, ...lines];
}

/** A message on one line, or on several when it has many entries or a snapshot. */
export function describeMessage(message: Message): readonly string[] {
  const { entries, snapshot } = message;
  const parts = [
    `${describeNode(message.from)}->${describeNode(message.to)} ${nameOf(MessageType, message.type)}`,
    `Term:${message.term} Log:${message.logTerm}/${message.index}`,
  ];
  if (message.reject) parts.push(`Rejected (Hint: ${message.rejectHint})`);
  if (message.commit !== 0) parts.push(`Commit:${message.commit}`);
  if (message.vote !== 0n) parts.push(`Vote:${message.vote}`);
  const head = parts.join(' ');
  const tail =
    snapshot !== undefined && snapshot.metadata.index > 0
      ? [`  Snapshot: ${describeSnapshot(snapshot)}`]
      : [];
  if (entries.length === 0) return [head, ...tail];
  const described = entries.map(describeEntry);
  if (entries.length === 1) return [`${head} Entries:[${described[0]}]`, ...tail];
  return [`${head} Entries:[`, ...described.map((line) => `  ${line}`), ']', ...tail];
}

export function describeEntry(entry: Entry): string {
  const content = describeContent(entry);
  const head = `${entry.term}/${entry.index} ${nameOf(EntryType, entry.type)}`;
  return content === '' ? head : `${head} ${content}`;
}

export function describeHardState({ term, vote, commit }: HardState): string {
  return `Term:${term}${vote === 0n ? '' : ` Vote:${vote}`} Commit:${commit}`;
}

export function describeProgress(id: bigint, status: ProgressStatus): string {
  const parts = [`${id}: ${PROGRESS_NAMES[status.state]}`];
  parts.push(`match=${status.match}`, `next=${status.next}`);
  if (status.paused) parts.push('paused');
  if (status.pendingSnapshot > 0) parts.push(`pendingSnap=${status.pendingSnapshot}`);
  if (!status.recentActive) parts.push('inactive');
  if (status.inflight > 0) {
    parts.push(`inflight=${status.inflight}${status.inflightFull ? '[full]' : ''}`);
  }
  return parts.join(' ');
}

function describeSnapshot({ metadata }: Snapshot): string {
  const { index, term, confState } = metadata;
  return `Index:${index} Term:${term} ConfState:${describeConfState(confState)}`;
}

function describeConfState(state: ConfState): string {
  return [
    `Voters:${list(state.voters)}`,
    `VotersOutgoing:${list(state.votersOutgoing)}`,
    `Learners:${list(state.learners)}`,
    `LearnersNext:${list(state.learnersNext)}`,
    `AutoLeave:${state.autoLeave}`,
  ].join(' ');
}

function describeRead({ index, context }: ReadState): string {
  return `{${index} ${list([...context])}}`;
}

function describeContent({ type, data = new Uint8Array() }: Entry): string {
  if (type === EntryType.EntryNormal) return quote(data);
  if (type === EntryType.EntryConfChange) return describeChange(ConfChange.decode(data));
  return ConfChangeV2.decode(data).changes.map(describeChange).join(' ');
}

function describeChange({ type, nodeId }: Pick<ConfChangeSingle, 'type' | 'nodeId'>): string {
  return `${CHANGE_LETTERS[type] ?? 'unknown'}${nodeId}`;
}

function describeNode(id: bigint): string {
  return id === 0n ? 'None' : id.toString(16);
}

function list(items: readonly (bigint | number)[]): string {
  return `[${items.join(' ')}]`;
}

function nameOf(names: { readonly [name: string]: number }, value: number): string {
  return Object.keys(names).find((name) => names[name] === value) ?? String(value);
}

/** Bytes in double quotes, with escapes for what is not printable. */
function quote(bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(bytes);
  if (isText) return JSON.stringify(text);
  const escaped = [...bytes].map((byte) =>
    byte >= 0x20 && byte < 0x7f
      ? String.fromCharCode(byte)
      : `\\x${byte.toString(16).padStart(2, '0')}`,
  );
  return `"${escaped.join('')}"`;
}
