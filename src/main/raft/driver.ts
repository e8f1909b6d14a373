/**
 * The loop that obeys the raft core: it carries each Ready to disk, peers and store in the order that
 * the core asks for, and brings ticks, messages and proposals in.
 *
 * While one Ready is on its way to the disk, proposals gather for the next: that is the group commit.
 * Messages that promise what is being stored leave only when the disk has it, by construction: they
 * come out of the Ready in a list of their own.
 */
import assert from 'node:assert/strict';
import type { RaftMember } from '../../shared/wire/gen/raft.ts';
import { RaftMember as RaftMemberCodec } from '../../shared/wire/gen/raft.ts';
import {
  ConfChange,
  ConfChangeType,
  Entry,
  EntryType,
  HardState,
  type Message,
  MessageType,
  type Snapshot,
} from '../../shared/wire/gen/raftpb.ts';
import { REAL_TURNS, type Cancel, type Turns } from '../kit/turns.ts';
import type { Log as Logger } from '../log.ts';
import { readSnapshot, snapshotHeader } from '../store/entry-codec.ts';
import type { Log, LogFollower } from '../store/proposals.ts';
import { StoreError } from '../store/transaction.ts';
import type { RaftSettings } from './core/config.ts';
import { RawNode } from './core/raw-node.ts';
import { toConfState } from './core/configuration.ts';
import type { Ready } from './core/ready.ts';
import type { DurableLog, ReceivedSnapshot } from './log/durable-log.ts';

/** Values of the cluster's raft configuration (behaviour rule 3.1). */
export const RAFT = {
  tickMs: 1000,
  snapshotInterval: 10_000,
  entriesForSlowFollowers: 500,
  /** Encoded bytes applied in one turn, about. */
  applyBytesMax: 2 * 1024 * 1024,
} as const;

/** What the log drives. */
export interface StateMachine extends LogFollower {
  /** The state now, in pieces; later changes do not show in it. */
  snapshot(): AsyncIterable<Uint8Array>;
  /** Replaces the state. */
  restore(index: number, chunks: Iterable<Uint8Array>): Promise<void> | void;
}

export type DriverOptions = {
  readonly log: DurableLog;
  readonly machine: StateMachine;
  /** Whom the log belongs to, unless given. */
  readonly member?: RaftMember;
  readonly randBelow: (limit: number) => number;
  readonly logger: Logger;
  readonly tickMs?: number;
  /** The real event loop unless given. */
  readonly turns?: Turns;
  readonly settings?: Partial<
    Pick<
      RaftSettings,
      'electionTicks' | 'heartbeatTicks' | 'preVote' | 'maxSizePerMsg' | 'maxInflightMsgs' | 'trace'
    >
  >;
  /** Read on each look: the cluster's configuration may change. */
  readonly snapshotEvery: () => { readonly interval: number; readonly keep: number };
  /** Takes messages to peers. */
  readonly send: (messages: readonly Message[]) => void;
  /** Leadership was gained (all of the log is applied) or lost. */
  readonly onLeadership: (leading: boolean) => void;
  /** Another member leads from now on; 0 when none is known. */
  readonly onLeader?: (raftId: bigint) => void;
  /** A member came, went, or has another address. */
  readonly onMembers?: () => void;
  /** The disk failed: nothing can be promised any more, and the process must end. */
  readonly onFatal: (error: unknown) => void;
};

/**
 * The first entries of a new cluster: its founder (wire notes, raft), then `contents`, all or nothing.
 */
export async function foundLog(
  log: DurableLog,
  member: RaftMember,
  contents: readonly Uint8Array[],
): Promise<void> {
  const change = ConfChange.create({
    type: ConfChangeType.ConfChangeAddNode,
    nodeId: member.raftId,
    context: RaftMemberCodec.encode(member),
  });
  const data = ConfChange.encode(change);
  const entry = Entry.create({ type: EntryType.EntryConfChange, term: 1, index: 1, data });
  const rest = contents.map((bytes, i) => Entry.create({ term: 1, index: 2 + i, data: bytes }));
  const hardState = HardState.create({ term: 1, commit: 1 + contents.length });
  await log.save({ hardState, snapshot: null, entries: [entry, ...rest], mustSync: true });
  await log.saveMember(member);
}

const NO_BYTES = new Uint8Array();

export class RaftDriver implements Log {
  readonly #options: DriverOptions;
  readonly #turns: Turns;
  readonly #members = new Map<bigint, RaftMember>();
  readonly #removed = new Set<bigint>();
  #node: RawNode | undefined;
  #stopTicks: Cancel | undefined;
  #pumping: Promise<void> | undefined;
  #scheduled: Cancel | undefined;
  #stopped = false;
  #role: 'follower' | 'elected' | 'leading' = 'follower';
  /** The index that must be applied before an elected node leads. */
  #leadsFrom = 0;
  #lastIndex = 0;
  #applied = 0;
  /** A hard state whose only news is the commit mark. */
  #heldHardState: HardState | null = null;
  #snapshotIndex = 0;
  #snapshotting: Promise<void> | undefined;
  /** Changes of the membership under way, by their id. */
  readonly #changes = new Map<bigint, PromiseWithResolvers<void>>();
  #changeId: bigint;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#turns = options.turns ?? REAL_TURNS;
    // Ids are only to be unlikely elsewhere: a random half, then a counter.
    this.#changeId = BigInt(1 + options.randBelow(0x7fff_ffff)) << 32n;
  }

  /** Restores the store from the snapshot, then begins to take part. Resolves when the log is replayed. */
  async start(): Promise<void> {
    const { log, machine, randBelow, settings, tickMs = RAFT.tickMs } = this.#options;
    const member = this.#options.member ?? log.member();
    assert(member !== undefined, 'the log belongs to no member');
    const stored = log.readSnapshot();
    if (stored !== undefined) {
      const { index, members, removed } = stored.meta;
      for (const known of members) this.#members.set(known.raftId, known);
      for (const id of removed) this.#removed.add(id);
      await machine.restore(index, stored.chunks);
      this.#applied = index;
      this.#snapshotIndex = index;
      this.#options.onMembers?.();
    }
    this.#node = new RawNode({
      id: member.raftId,
      storage: log,
      applied: this.#applied,
      randBelow,
      maxCommittedSizePerReady: RAFT.applyBytesMax,
      maxSizePerMsg: 65_535,
      ...settings,
    });
    this.#lastIndex = log.lastIndex();
    await this.#work();
    if (this.#stopped) return;
    // Nobody else can be asked: a sole member need not wait for its timeout.
    const { voters } = this.#node.status();
    if (voters.length === 1 && voters[0] === member.raftId) this.#node.campaign();
    this.#stopTicks = this.#turns.every(tickMs, () => this.#tick());
    this.#wake();
  }

  /** Takes no more part; resolves when nothing is being written. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopTicks?.();
    this.#scheduled?.();
    await this.#pumping;
    await this.#snapshotting;
    this.#loseLeadership();
    const hardState = this.#heldHardState;
    this.#heldHardState = null;
    if (hardState === null) return;
    await this.#options.log.save({ hardState, snapshot: null, entries: [], mustSync: false });
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get leading(): boolean {
    return this.#role === 'leading';
  }

  get appliedIndex(): number {
    return this.#applied;
  }

  /** Raft's own view, for `cluster status` and metrics. */
  status(): ReturnType<RawNode['status']> | undefined {
    return this.#node?.status();
  }

  members(): readonly RaftMember[] {
    return [...this.#members.values()];
  }

  /** Whether this member was removed, never to come back. */
  isRemoved(raftId: bigint): boolean {
    return this.#removed.has(raftId);
  }

  /** Whether all that was acknowledged before this term is applied here, and a leader is known. */
  get caughtUp(): boolean {
    const status = this.#node?.status();
    if (status === undefined || status.leader === 0n) return false;
    return this.#options.log.term(this.#applied) === status.term;
  }

  /**
   * Adds, updates or removes a member; resolves when this member has applied it. One at a time.
   * @throws StoreError NOT_LEADER, LEADERSHIP_LOST: then it may still come to pass
   */
  changeMembership(change: Pick<ConfChange, 'type' | 'nodeId' | 'context'>): Promise<void> {
    const node = this.#leadingNode();
    const id = (this.#changeId += 1n);
    const refusal = node.proposeConfChange({ ...change, id });
    if (refusal !== null)
      throw new StoreError('NOT_LEADER', `raft: proposal refused: ${refusal.code}`);
    this.#lastIndex += 1;
    const waiter = Promise.withResolvers<void>();
    this.#changes.set(id, waiter);
    this.#wake();
    return waiter.promise;
  }

  /** The last message to this member did not arrive. */
  reportUnreachable(raftId: bigint): void {
    this.#node?.reportUnreachable(raftId);
    this.#wake();
  }

  /** What became of the snapshot for this member. */
  reportSnapshot(raftId: bigint, arrived: boolean): void {
    this.#node?.reportSnapshot(raftId, arrived);
    this.#wake();
  }

  propose(bytes: Uint8Array): { readonly index: number } {
    const refusal = this.#leadingNode().propose(bytes);
    if (refusal !== null)
      throw new StoreError('NOT_LEADER', `raft: proposal refused: ${refusal.code}`);
    this.#lastIndex += 1;
    this.#wake();
    return { index: this.#lastIndex };
  }

  #leadingNode(): RawNode {
    if (this.#node !== undefined && this.leading && !this.#stopped) return this.#node;
    throw new StoreError(
      'NOT_LEADER',
      'raft: failed to process the request: node lost leader status',
    );
  }

  /** A message of a peer. @throws WireError when it carries a snapshot that cannot be read */
  receive(message: Message): void {
    if (message.type === MessageType.MsgSnap) readSnapshot(message.snapshot?.data ?? NO_BYTES);
    this.#node?.step(message);
    this.#wake();
  }

  #tick(): void {
    this.#node?.tick();
    this.#wake();
  }

  #wake(): void {
    if (this.#node === undefined || this.#stopped || this.#pumping !== undefined) return;
    this.#scheduled ??= this.#turns.soon(() => {
      this.#scheduled = undefined;
      void this.#work();
    });
  }

  /** One pump at a time; what came in just as it ended starts the next. */
  #work(): Promise<void> {
    return (this.#pumping ??= this.#pump().finally(() => {
      this.#pumping = undefined;
      if (this.#node?.hasReady() === true) this.#wake();
    }));
  }

  async #pump(): Promise<void> {
    const node = this.#node;
    assert(node !== undefined, 'the driver was not started');
    try {
      while (node.hasReady()) await this.#obey(node, node.ready());
    } catch (error) {
      this.#stopped = true;
      this.#stopTicks?.();
      this.#options.onFatal(error);
    }
  }

  async #obey(node: RawNode, ready: Ready): Promise<void> {
    const { log, onLeader } = this.#options;
    if (ready.softState !== null) {
      this.#roleChanged(ready.softState.role === 'leader', node);
      onLeader?.(ready.softState.leader);
    }
    this.#send(node, ready.sendNow);
    const { persist } = ready;
    const received = persist.snapshot === null ? undefined : this.#read(persist.snapshot);
    // An own snapshot that is being written would overwrite the one that replaces it.
    if (received !== undefined) await this.#snapshotting;
    // A commit mark alone promises nothing to anybody: it goes with the next write.
    this.#heldHardState = persist.hardState ?? this.#heldHardState;
    if (persist.mustSync) {
      const hardState = this.#heldHardState;
      this.#heldHardState = null;
      await log.save({ ...persist, hardState }, received);
    }
    this.#send(node, ready.sendAfterPersist);
    if (received !== undefined) await this.#restore(received);
    for (const entry of ready.committed) this.#apply(node, entry);
    node.advance();
    this.#lastIndex = Math.max(this.#lastIndex, log.lastIndex());
    this.#maybeLead();
    this.#maybeSnapshot();
    // Let other work in between two turns that never waited for the disk.
    if (!persist.mustSync) await new Promise<void>((resolve) => void this.#turns.soon(resolve));
  }

  /** A snapshot travels as the log has it when it is sent, with the members of now: its receiver is one. */
  #send(node: RawNode, messages: readonly Message[]): void {
    if (messages.length === 0) return;
    const filled = messages.map((message) =>
      message.type === MessageType.MsgSnap
        ? { ...message, snapshot: this.#snapshotToSend(node) }
        : message,
    );
    this.#options.send(filled);
  }

  #snapshotToSend(node: RawNode): Snapshot {
    const stored = this.#options.log.readSnapshot();
    assert(stored !== undefined, 'what was compacted is in a snapshot');
    const { index, term, members, removed } = stored.meta;
    const chunks = [...stored.chunks];
    const storeBytes = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const data = Buffer.concat([snapshotHeader({ members, removed }, storeBytes), ...chunks]);
    return { data, metadata: { index, term, confState: toConfState(node.status().voters) } };
  }

  /** A leader's snapshot. Members it does not know yet, but the group has, stay as they are known. */
  #read(snapshot: Snapshot): ReceivedSnapshot {
    const { membership, store } = readSnapshot(snapshot.data ?? NO_BYTES);
    const told = new Set(membership.members.map((member) => member.raftId));
    const { index, term, confState } = snapshot.metadata;
    const kept = this.members().filter(
      ({ raftId }) => confState.voters.includes(raftId) && !told.has(raftId),
    );
    const members = [...membership.members, ...kept];
    return {
      meta: { index, term, confState, members, removed: membership.removed },
      chunks: store,
    };
  }

  async #restore({ meta, chunks }: ReceivedSnapshot): Promise<void> {
    this.#members.clear();
    for (const member of meta.members) this.#members.set(member.raftId, member);
    for (const id of meta.removed) this.#removed.add(id);
    await this.#options.machine.restore(meta.index, chunks);
    this.#applied = meta.index;
    this.#snapshotIndex = meta.index;
    this.#options.onMembers?.();
  }

  #apply(node: RawNode, entry: Entry): void {
    assert.equal(entry.index, this.#applied + 1, 'an entry is applied out of order');
    const { data } = entry;
    if (entry.type === EntryType.EntryNormal) {
      const content = data === undefined || data.length === 0 ? undefined : data;
      this.#options.machine.committed(entry.index, content);
    } else {
      this.#applyMembership(node, ConfChange.decode(data ?? new Uint8Array()));
      this.#options.machine.committed(entry.index, undefined);
    }
    this.#applied = entry.index;
  }

  #applyMembership(node: RawNode, change: ConfChange): void {
    node.applyConfChange(change);
    if (change.type === ConfChangeType.ConfChangeRemoveNode) {
      this.#members.delete(change.nodeId);
      this.#removed.add(change.nodeId);
    } else {
      const member = RaftMemberCodec.decode(change.context ?? NO_BYTES);
      this.#members.set(change.nodeId, member);
    }
    this.#options.onMembers?.();
    this.#changes.get(change.id)?.resolve();
    this.#changes.delete(change.id);
  }

  #roleChanged(leader: boolean, node: RawNode): void {
    if (leader && this.#role === 'follower') {
      this.#role = 'elected';
      this.#leadsFrom = node.status().lastIndex;
      this.#lastIndex = this.#leadsFrom;
    } else if (!leader) this.#loseLeadership();
  }

  #maybeLead(): void {
    if (this.#role !== 'elected' || this.#applied < this.#leadsFrom) return;
    this.#role = 'leading';
    this.#options.onLeadership(true);
  }

  /** What is in flight fails first; then everything that only a leader runs is told. */
  #loseLeadership(): void {
    const led = this.#role === 'leading';
    this.#role = 'follower';
    if (!led) return;
    const error = new StoreError(
      'LEADERSHIP_LOST',
      'raft: failed to process the request: node lost leader status',
    );
    for (const { reject } of this.#changes.values()) reject(error);
    this.#changes.clear();
    this.#options.machine.abort();
    this.#options.onLeadership(false);
  }

  #maybeSnapshot(): void {
    const { interval, keep } = this.#options.snapshotEvery();
    if (interval <= 0 || this.#snapshotting !== undefined) return;
    if (this.#applied - this.#snapshotIndex < interval) return;
    this.#snapshotting = this.#snapshot(keep)
      .catch((error: unknown) => this.#options.logger.error({ error }, 'no snapshot was made'))
      .finally(() => {
        this.#snapshotting = undefined;
      });
  }

  async #snapshot(keep: number): Promise<void> {
    const { log, machine } = this.#options;
    const index = this.#applied;
    const term = log.term(index);
    assert(term !== null && this.#node !== undefined, 'the last applied entry is in the log');
    const confState = toConfState(this.#node.status().voters);
    const meta = { index, term, confState, members: this.members(), removed: [...this.#removed] };
    await log.saveSnapshot(meta, machine.snapshot());
    this.#snapshotIndex = index;
    await log.compact(index - keep);
  }
}
