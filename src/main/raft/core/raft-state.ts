/**
 * The state of one node, and its outbox: what all step functions work on.
 *
 * The fields are open to the functions of this folder and to nobody else; `RawNode` is the wall.
 */
import assert from 'node:assert/strict';
import { MessageType } from '../../../shared/wire/gen/raftpb.ts';
import type { HardState, Message } from '../../../shared/wire/gen/raftpb.ts';
import type { RaftSettings } from './config.ts';
import { NONE, fromConfState } from './configuration.ts';
import { RaftLog } from './log.ts';
import { ReadOnly } from './read-only.ts';
import type { ReadState } from './read-only.ts';
import type { LogStorage } from './storage.ts';
import type { Role } from './trace.ts';
import { Tracker } from './tracker.ts';

/** What a node may forget in a restart: who leads, and what it is itself. */
export type SoftState = { readonly leader: bigint; readonly role: Role };

/** The fields of a message beyond type, receiver, sender and term. */
export type MessageFields = Partial<Omit<Message, 'type' | 'to'>>;

/**
 * Answers that promise something: that an entry is stored, that a vote is remembered. They leave
 * only once the promise is durable.
 */
const PROMISES: ReadonlySet<MessageType> = new Set([
  MessageType.MsgAppResp,
  MessageType.MsgVoteResp,
  MessageType.MsgPreVoteResp,
]);

/** Requests to another node that are passed on as they are, whatever the term here. */
const TERMLESS: ReadonlySet<MessageType> = new Set([MessageType.MsgProp, MessageType.MsgReadIndex]);

export class RaftState {
  readonly settings: RaftSettings;
  readonly id: bigint;
  readonly log: RaftLog;
  readonly tracker: Tracker;

  term: number;
  vote: bigint;
  role: Role = 'follower';
  leader = NONE;

  /** Ticks since the leader was heard of; on a leader, since the last quorum check. */
  electionElapsed = 0;
  heartbeatElapsed = 0;
  /** Election ticks of this term, spread by luck. */
  electionTimeout = 0;
  /** Ticks after which to stand for election sooner than that, since the leader is gone. */
  ticksToStand = Infinity;

  /** Whom a leader hands over to, or none. */
  transferee = NONE;
  /** A leader proposes no configuration change before it has applied this index. */
  pendingConfIndex = 0;
  /** Payload bytes of the leader's own entries that are not applied yet. */
  uncommittedBytes = 0;

  readonly readOnly = new ReadOnly();
  /** Reads that came before the leader committed in its own term. */
  earlyReads: Message[] = [];
  /** Reads that may be answered, for the next Ready. */
  readStates: ReadState[] = [];

  /** Messages that promise nothing. */
  messages: Message[] = [];
  /** Messages that promise something, those to this node itself included. */
  promises: Message[] = [];

  constructor(settings: RaftSettings, storage: LogStorage) {
    const { hardState, confState } = storage.initialState();
    this.settings = settings;
    this.id = settings.id;
    this.log = new RaftLog(storage);
    this.tracker = new Tracker({
      messagesMax: settings.maxInflightMsgs,
      bytesMax: settings.maxInflightBytes,
    });
    this.tracker.setVoters(fromConfState(confState), this.log.lastIndex);
    this.term = hardState.term;
    this.vote = hardState.vote;
    this.log.commitTo(hardState.commit);
  }

  get hardState(): HardState {
    return { term: this.term, vote: this.vote, commit: this.log.committed };
  }

  get softState(): SoftState {
    return { leader: this.leader, role: this.role };
  }

  /** Whether this node may stand for election: a voter, and with no snapshot half stored. */
  get promotable(): boolean {
    return this.tracker.has(this.id) && this.log.pendingSnapshot === null;
  }

  /** Whether the leader was heard of so lately that no other should be elected. */
  get inLease(): boolean {
    return this.leader !== NONE && this.electionElapsed < this.settings.electionTicks;
  }

  /** Starts over for `term`: nothing of the old role remains. */
  reset(term: number): void {
    if (term !== this.term) {
      assert(term > this.term, `term ${term} after ${this.term}`);
      this.term = term;
      this.vote = NONE;
    }
    this.leader = NONE;
    this.electionElapsed = 0;
    this.heartbeatElapsed = 0;
    this.electionTimeout = this.#luckyTimeout();
    this.ticksToStand = Infinity;
    this.transferee = NONE;
    this.pendingConfIndex = 0;
    this.uncommittedBytes = 0;
    this.earlyReads = [];
    this.readOnly.clear();
    this.tracker.reset(this.id, this.log.lastIndex);
  }

  /** Puts a message of this node and term, unless `fields` say otherwise, into the outbox. */
  send(type: MessageType, to: bigint, fields: MessageFields = {}): void {
    const message: Message = {
      type,
      to,
      from: this.id,
      term: TERMLESS.has(type) ? 0 : this.term,
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
      ...fields,
    };
    if (PROMISES.has(type)) this.promises.push(message);
    else {
      assert(to !== this.id, 'only a promise may be sent to oneself');
      this.messages.push(message);
    }
  }

  #luckyTimeout(): number {
    const { electionTicks, randBelow } = this.settings;
    return electionTicks + randBelow(electionTicks);
  }
}
