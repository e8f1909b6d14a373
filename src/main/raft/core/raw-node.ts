/**
 * One member of a raft group, as its shell sees it: events go in, a {@link Ready} comes out.
 *
 * Follows etcd's raft in behaviour and vocabulary. Opens nothing, waits for nothing, knows no time
 * but ticks. Everything is synchronous; the shell must not call from two threads.
 */
import assert from 'node:assert/strict';
import { ConfChange, EntryType, MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { ConfState, Entry, HardState, Message } from '../../../shared/wire/gen/raftpb.ts';
import { resolveSettings } from './config.ts';
import type { RaftConfig } from './config.ts';
import { NONE } from './configuration.ts';
import { standForElection } from './election.ts';
import { payloadBytes } from './entry-size.ts';
import { applyConfChange } from './membership.ts';
import type { ProgressStatus } from './progress.ts';
import { propose } from './proposal.ts';
import { RaftState } from './raft-state.ts';
import type { SoftState } from './raft-state.ts';
import { isSoleVoter, requestRead } from './read-index.ts';
import type { Persist, Ready } from './ready.ts';
import { refuse } from './refusal.ts';
import type { Refusal } from './refusal.ts';
import { becomeFollower } from './roles.ts';
import { forgetLeader, leaderGone } from './step-follower.ts';
import { reportSnapshot, reportUnreachable } from './step-leader.ts';
import { step } from './step.ts';
import { tick } from './tick.ts';
import { transferLeadership } from './transfer.ts';

export type RaftStatus = SoftState & {
  readonly id: bigint;
  readonly term: number;
  readonly vote: bigint;
  readonly commit: number;
  readonly applied: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Whom this leader hands over to, or 0. */
  readonly transferee: bigint;
  /** In ascending order. */
  readonly voters: readonly bigint[];
  /** By member in ascending order; empty unless this node leads. */
  readonly progress: ReadonlyMap<bigint, ProgressStatus>;
};

/** What {@link RawNode.advance} has to settle. */
type Outstanding = { readonly ready: Ready; readonly toSelf: readonly Message[] };

export class RawNode {
  readonly #raft: RaftState;
  /** What the shell was last told. */
  #softState: SoftState;
  #hardState: HardState;
  #outstanding: Outstanding | null = null;

  /** @throws ConfigurationError when the stored configuration has learners or is a joint one. */
  constructor(config: RaftConfig) {
    const raft = new RaftState(resolveSettings(config), config.storage);
    if (config.applied !== undefined) raft.log.resumeAt(config.applied);
    becomeFollower(raft, raft.term, NONE);
    this.#raft = raft;
    this.#softState = raft.softState;
    this.#hardState = raft.hardState;
  }

  get id(): bigint {
    return this.#raft.id;
  }

  get term(): number {
    return this.#raft.term;
  }

  /** Of the last entry, stored or not. */
  get lastIndex(): number {
    return this.#raft.log.lastIndex;
  }

  /** Whether this node is the only voter. */
  get isSoleVoter(): boolean {
    return isSoleVoter(this.#raft);
  }

  get isLeader(): boolean {
    return this.#raft.role === 'leader';
  }

  /** Whether this node leads and takes no proposals, since another is to lead. */
  get isHandingOver(): boolean {
    return this.#raft.role === 'leader' && this.#raft.transferee !== NONE;
  }

  /** One unit of time passed. */
  tick(): void {
    tick(this.#raft);
  }

  /** Takes in a message that came from another node. */
  step(message: Message): Refusal | null {
    if (LOCAL.has(message.type)) return refuse('LOCAL_MESSAGE');
    const known = this.#raft.tracker.has(message.from);
    if (!known && RESPONSES.has(message.type)) return refuse('PEER_NOT_FOUND');
    if (!isWellFormed(message)) return refuse('MALFORMED_MESSAGE');
    return step(this.#raft, message);
  }

  /** Stands for election now. Does nothing on a leader or on a node that may not be elected. */
  campaign(): void {
    standForElection(this.#raft);
  }

  /** Proposes to append `data`. That it was taken does not mean that it will commit. */
  propose(data: Uint8Array): Refusal | null {
    return this.proposeBatch([data]);
  }

  /** Proposes several entries, all or none. */
  proposeBatch(batch: readonly Uint8Array[]): Refusal | null {
    const entries = batch.map((data) => proposed(EntryType.EntryNormal, data));
    return propose(this.#raft, this.id, entries);
  }

  /**
   * Proposes to add, remove or update one voter. While another change may be unapplied an empty
   * entry is appended in its place: the proposer learns of its fate by what commits.
   */
  proposeConfChange(change: ConfChange): Refusal | null {
    const entry = proposed(EntryType.EntryConfChange, ConfChange.encode(change));
    return propose(this.#raft, this.id, [entry]);
  }

  /**
   * Takes a committed change into use; `nodeId` 0 voids it. Must be called for every committed
   * `EntryConfChange`, in order.
   * @returns the configuration from here on, to be kept with the next snapshot.
   * @throws ConfigurationError when the change is of an unknown kind or leaves no voter.
   */
  applyConfChange(change: ConfChange): ConfState {
    return applyConfChange(this.#raft, change);
  }

  /** Asks the leader to hand over to `transferee`. */
  transferLeadership(transferee: bigint): void {
    transferLeadership(this.#raft, transferee);
  }

  /**
   * Asks from which index on a read would be linearizable. The answer comes as a read state with
   * the same `context`, or never: without a leader, or when a message is lost. `context` must be
   * new each time.
   */
  readIndex(context: Uint8Array): void {
    const entry = proposed(EntryType.EntryNormal, context);
    requestRead(this.#raft, {
      ...EMPTY_READ,
      from: this.id,
      entries: [entry],
    });
  }

  /** Forgets who leads, so that this follower may vote before the lease ends. */
  forgetLeader(): void {
    forgetLeader(this.#raft);
  }

  /**
   * `peer` is gone: its process has ended, or so it looks. If it leads, it need not be waited for. Safe
   * even if it is wrong, and a leader that lives stays so.
   */
  reportGone(peer: bigint): void {
    if (this.#raft.leader === peer) leaderGone(this.#raft);
  }

  /** The last message to `peer` could not be delivered. */
  reportUnreachable(peer: bigint): void {
    reportUnreachable(this.#raft, peer);
  }

  /** What became of the snapshot sent to `peer`. Must be called for each, or `peer` gets nothing. */
  reportSnapshot(peer: bigint, arrived: boolean): void {
    reportSnapshot(this.#raft, peer, arrived);
  }

  /** Sets the election timeout until the next change of role or term: for scripts and simulation. */
  overrideElectionTimeout(ticks: number): void {
    assert(ticks > 0, 'an election timeout must be positive');
    this.#raft.electionTimeout = ticks;
  }

  /** Whether {@link ready} would say anything. False until the last Ready is settled. */
  hasReady(): boolean {
    const raft = this.#raft;
    if (this.#outstanding !== null) return false;
    return (
      raft.messages.length > 0 ||
      raft.promises.length > 0 ||
      raft.readStates.length > 0 ||
      raft.log.unstableEntries.length > 0 ||
      raft.log.pendingSnapshot !== null ||
      raft.log.hasNextCommitted ||
      this.#newHardState() !== null ||
      this.#newSoftState() !== null
    );
  }

  /** Takes out everything there is to do. {@link advance} must follow before the next one. */
  ready(): Ready {
    assert(this.#outstanding === null, 'the last Ready was not settled by advance()');
    const raft = this.#raft;
    const { messages, promises, readStates } = raft;
    raft.messages = [];
    raft.promises = [];
    raft.readStates = [];
    const toPeers = promises.filter((message) => message.to !== raft.id);
    const committed = raft.log.nextCommitted(raft.settings.maxCommittedSizePerReady);
    // Nobody may act on a new configuration, and be gone, before this node is sure to keep it.
    const reconfigures = committed.some((entry) => entry.type !== EntryType.EntryNormal);
    // A request for votes states what this node's log holds, so that has to be durable too.
    const asks = messages.some((message) => message.type === MessageType.MsgVote);
    const waits = reconfigures || asks;
    const ready: Ready = {
      softState: this.#newSoftState(),
      readStates,
      persist: this.#persist(reconfigures),
      sendNow: waits ? [] : messages,
      sendAfterPersist: waits ? [...messages, ...toPeers] : toPeers,
      committed,
    };
    this.#softState = raft.softState;
    this.#hardState = raft.hardState;
    const toSelf = promises.filter((message) => message.to === raft.id);
    this.#outstanding = { ready, toSelf };
    return ready;
  }

  /** The last Ready was stored, sent and applied. */
  advance(): void {
    assert(this.#outstanding !== null, 'there is no Ready to settle');
    const { ready, toSelf } = this.#outstanding;
    const raft = this.#raft;
    this.#outstanding = null;
    for (const message of toSelf) step(raft, message);
    const lastStored = ready.persist.entries.at(-1);
    if (lastStored !== undefined) raft.log.stableTo(lastStored);
    const { snapshot } = ready.persist;
    if (snapshot !== null) raft.log.snapshotStable(snapshot.metadata.index);
    const lastApplied = ready.committed.at(-1);
    if (lastApplied !== undefined) raft.log.appliedTo(lastApplied.index);
    const settledBytes = payloadBytes(ready.committed);
    raft.uncommittedBytes = Math.max(0, raft.uncommittedBytes - settledBytes);
  }

  status(): RaftStatus {
    const raft = this.#raft;
    const members = raft.role === 'leader' ? [...raft.tracker.progress] : [];
    return {
      ...raft.softState,
      id: raft.id,
      term: raft.term,
      vote: raft.vote,
      commit: raft.log.committed,
      applied: raft.log.applied,
      firstIndex: raft.log.firstIndex,
      lastIndex: raft.log.lastIndex,
      transferee: raft.transferee,
      voters: raft.tracker.voters,
      progress: new Map(members.map(([id, progress]) => [id, progress.status()])),
    };
  }

  #persist(reconfigures: boolean): Persist {
    const { log, term, vote } = this.#raft;
    const snapshot = log.pendingSnapshot;
    const entries = log.unstableEntries.slice();
    const binds = term !== this.#hardState.term || vote !== this.#hardState.vote;
    return {
      hardState: this.#newHardState(),
      snapshot,
      entries,
      mustSync: binds || reconfigures || entries.length > 0 || snapshot !== null,
    };
  }

  #newSoftState(): SoftState | null {
    const now = this.#raft.softState;
    const told = this.#softState;
    return now.leader === told.leader && now.role === told.role ? null : now;
  }

  #newHardState(): HardState | null {
    const now = this.#raft.hardState;
    const told = this.#hardState;
    const same = now.term === told.term && now.vote === told.vote && now.commit === told.commit;
    return same ? null : now;
  }
}

/** Messages of a node to itself, which must never come from outside. */
const LOCAL: ReadonlySet<MessageType> = new Set([
  MessageType.MsgHup,
  MessageType.MsgBeat,
  MessageType.MsgUnreachable,
  MessageType.MsgSnapStatus,
  MessageType.MsgCheckQuorum,
  MessageType.MsgStorageAppend,
  MessageType.MsgStorageAppendResp,
  MessageType.MsgStorageApply,
  MessageType.MsgStorageApplyResp,
]);

/** Messages that only a member may send. */
const RESPONSES: ReadonlySet<MessageType> = new Set([
  MessageType.MsgAppResp,
  MessageType.MsgVoteResp,
  MessageType.MsgHeartbeatResp,
  MessageType.MsgReadIndexResp,
  MessageType.MsgPreVoteResp,
]);

const EMPTY_READ: Message = {
  type: MessageType.MsgReadIndex,
  to: NONE,
  from: NONE,
  term: 0,
  logTerm: 0,
  index: 0,
  entries: [],
  commit: 0,
  vote: NONE,
  snapshot: undefined,
  reject: false,
  rejectHint: 0,
  context: undefined,
  responses: [],
};

function proposed(type: EntryType, data: Uint8Array): Entry {
  return { type, data, term: 0, index: 0 };
}

/** Whether the entries of an append follow each other; a peer's mistake must not become ours. */
function isWellFormed(message: Message): boolean {
  if (message.type === MessageType.MsgProp) return message.entries.length > 0;
  if (message.type !== MessageType.MsgApp) return true;
  let { index, logTerm } = message;
  for (const entry of message.entries) {
    if (entry.index !== index + 1 || entry.term < logTerm || entry.term > message.term)
      return false;
    index = entry.index;
    logTerm = entry.term;
  }
  return true;
}
