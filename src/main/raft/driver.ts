/**
 * A member of the group: it brings ticks, messages and proposals to the raft core, and a loop carries
 * out what the core asks for (`ready-loop.ts`).
 *
 * While one Ready is on its way to the disk, proposals gather for the next: that is the group commit.
 */
import assert from 'node:assert/strict';
import type { RaftMember } from '../../shared/wire/gen/raft.ts';
import { ConfChangeType, type Message } from '../../shared/wire/gen/raftpb.ts';
import { REAL_TURNS, type Cancel, type Turns } from '../kit/turns.ts';
import type { Log as Logger } from '../log.ts';
import type { Log } from '../store/proposals.ts';
import { StoreError } from '../store/transaction.ts';
import { AppliedState, type StateMachine } from './applied-state.ts';
import type { RaftSettings } from './core/config.ts';
import { RawNode } from './core/raw-node.ts';
import type { Refusal } from './core/refusal.ts';
import type { LogStorage } from './core/storage.ts';
import { Leadership } from './leadership.ts';
import type { DurableLog } from './log/durable-log.ts';
import { type MembershipChange, MembershipChanges } from './membership-changes.ts';
import { PersistThenSend } from './persist-then-send.ts';
import { ReadyLoop } from './ready-loop.ts';
import { Reads } from './reads.ts';
import type { SnapshotSource } from './snapshot-source.ts';
import { Snapshots, type SnapshotsOptions } from './snapshots.ts';

/** Values of the cluster's raft configuration (behaviour rule 3.1). */
export const RAFT = {
  tickMs: 1000,
  snapshotInterval: 10_000,
  entriesForSlowFollowers: 500,
  /** Encoded bytes applied between two looks at the core, about. */
  applyBytesMax: 1024 * 1024,
} as const;

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
  readonly snapshotEvery: SnapshotsOptions['every'];
  /** Takes messages to peers; those with a snapshot lack its content, which `openSnapshot` has. */
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

const LOST_TEXT = 'raft: failed to process the request: node lost leader status';

export class RaftDriver implements Log {
  readonly #options: DriverOptions;
  readonly #turns: Turns;
  readonly #applied: AppliedState;
  readonly #snapshots: Snapshots;
  readonly #stable: PersistThenSend;
  readonly #leadership = new Leadership((leading) => this.#onLeadership(leading));
  readonly #changes: MembershipChanges;
  readonly #reads: Reads;
  #node: RawNode | undefined;
  #loop: ReadyLoop | undefined;
  #stopTicks: Cancel | undefined;
  #stopped = false;
  /** This leader is about to be removed. Nothing may follow that in its log: see `propose`. */
  #leaving = false;

  constructor(options: DriverOptions) {
    this.#options = options;
    const { log, machine, logger } = options;
    this.#turns = options.turns ?? REAL_TURNS;
    this.#changes = new MembershipChanges(this.#unlikelyElsewhere(), (change) => {
      const node = this.#leadingNode();
      checkTaken(node.proposeConfChange(change));
      this.#leaving =
        change.type === ConfChangeType.ConfChangeRemoveNode && change.nodeId === node.id;
      this.#wake();
    });
    this.#applied = new AppliedState({
      machine,
      reconfigure: (change) => this.#started.applyConfChange(change),
      onMembers: () => options.onMembers?.(),
      onChange: (id) => this.#changes.applied(id),
    });
    this.#snapshots = new Snapshots({
      log,
      machine,
      logger,
      applied: this.#applied,
      every: options.snapshotEvery,
      voters: () => this.#node?.status().voters ?? [],
      wake: () => this.#wake(),
    });
    this.#stable = new PersistThenSend(log, options.send);
    this.#reads = new Reads({
      raftId: () => this.#started.id,
      firstRequest: this.#unlikelyElsewhere(),
      retryTicks: 1 + (options.settings?.heartbeatTicks ?? 1),
      ask: (context) => this.#started.readIndex(context),
    });
  }

  /** Restores the store from the snapshot, then begins to take part. Resolves when the log is replayed. */
  async start(): Promise<void> {
    const { log, randBelow, settings, tickMs = RAFT.tickMs } = this.#options;
    const member = this.#options.member ?? log.member();
    assert(member !== undefined, 'the log belongs to no member');
    await log.removeLeftovers();
    using stored = log.readSnapshot();
    if (stored !== undefined) {
      await this.#applied.restore(stored);
      this.#snapshots.restored(stored.meta.index);
    }
    if (this.#stopped) return;
    const node = (this.#node = new RawNode({
      id: member.raftId,
      storage: this.#storage(),
      stepDownOnRemoval: true,
      applied: this.appliedIndex,
      randBelow,
      maxCommittedSizePerReady: RAFT.applyBytesMax,
      maxSizePerMsg: 65_535,
      ...settings,
    }));
    this.#loop = this.#loopOn(node);
    await this.#loop.run();
    if (this.#stopped) return;
    // Nobody else can be asked: a sole member need not wait for its timeout.
    if (node.isSoleVoter) node.campaign();
    this.#stopTicks = this.#turns.every(tickMs, () => this.#tick());
    this.#wake();
  }

  /** Takes no more part; resolves when nothing is being written. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#stopTicks?.();
    this.#reads.end();
    await this.#loop?.stop();
    await this.#snapshots.end();
    this.#leadership.lose();
    await this.#stable.flush();
  }

  get lastIndex(): number {
    return this.#node?.lastIndex ?? this.#options.log.lastIndex();
  }

  get leading(): boolean {
    return this.#leadership.leading;
  }

  /** The term in which this member leads and takes proposals; undefined while it does not. */
  get leadingTerm(): number | undefined {
    return this.leading ? this.#node?.term : undefined;
  }

  /** Whether this member is the leader of its term, also where it takes no proposals yet, or no more. */
  get isLeader(): boolean {
    return this.#leadership.isLeader;
  }

  get appliedIndex(): number {
    return this.#applied.index;
  }

  /** Raft's own view, for `cluster status` and metrics. */
  status(): ReturnType<RawNode['status']> | undefined {
    return this.#node?.status();
  }

  members(): readonly RaftMember[] {
    return this.#applied.members();
  }

  /** Whether this member was removed, never to come back. */
  isRemoved(raftId: bigint): boolean {
    return this.#applied.isRemoved(raftId);
  }

  /** Members that were removed, never to come back. */
  removed(): readonly bigint[] {
    return this.#applied.removed();
  }

  /** Whether all that was acknowledged before this term is applied here, and a leader is known. */
  get caughtUp(): boolean {
    const status = this.#node?.status();
    if (status === undefined || status.leader === 0n) return false;
    return this.#options.log.term(this.appliedIndex) === status.term;
  }

  /**
   * Resolves when this member has applied all that was committed in the group when it was called, so
   * that a read from here on is linearizable: a majority has then confirmed who leads. Waits for as
   * long as there is no leader, or this member has not started.
   * @throws ReadsEnded when this member was stopped; the signal's reason
   */
  readIndex(signal: AbortSignal): Promise<void> {
    // Nobody else can have committed anything, and what this member commits it has applied before it
    // says so.
    const alone = this.#node?.isSoleVoter === true;
    if (alone && this.leading && !this.#stopped) return Promise.resolve();
    const answered = this.#reads.wait(signal);
    this.#wake();
    return answered;
  }

  /**
   * Adds, updates or removes a member; resolves when this member has applied it.
   * @throws StoreError NOT_LEADER, LEADERSHIP_LOST: then it may still come to pass
   */
  changeMembership(change: MembershipChange): Promise<void> {
    return this.#changes.make(change);
  }

  /**
   * Resolves when the newest snapshot in the log is of what is applied now, or of more.
   * @throws when it cannot be stored, or this member was stopped
   */
  takeSnapshot(): Promise<void> {
    if (!this.#stopped) return this.#snapshots.taken();
    return Promise.reject(new Error('this member was stopped'));
  }

  /** The newest snapshot, for a member that is sent one. It is to be disposed of. */
  openSnapshot(): SnapshotSource {
    return this.#snapshots.open();
  }

  /**
   * Asks another member to lead instead. This one leads no more from here on; if the other does not
   * within an election timeout, it begins to again.
   */
  transferLeadership(to: bigint): void {
    this.#node?.transferLeadership(to);
    this.#stirred();
  }

  /** The last message to this member did not arrive. */
  reportUnreachable(raftId: bigint): void {
    this.#node?.reportUnreachable(raftId);
    this.#wake();
  }

  /** This member's process has ended, or so it looks: if it leads, others need not wait for it. */
  reportGone(raftId: bigint): void {
    this.#node?.reportGone(raftId);
    this.#wake();
  }

  /** What became of the snapshot for this member. */
  reportSnapshot(raftId: bigint, arrived: boolean): void {
    this.#node?.reportSnapshot(raftId, arrived);
    this.#wake();
  }

  /**
   * Appends an entry. A leader that removes itself takes none any more: with a longer log than anybody
   * else it would afterwards vote for nobody, and those who have not heard yet that it is no member
   * could not go on without its vote.
   * @throws StoreError NOT_LEADER
   */
  propose(bytes: Uint8Array): { readonly index: number } {
    const node = this.#leadingNode();
    if (this.#leaving) throw new StoreError('NOT_LEADER', LOST_TEXT);
    checkTaken(node.propose(bytes));
    this.#loop?.hurry(); // the store has packed what its turn brought
    return { index: node.lastIndex };
  }

  /** A message of a peer. @throws WireError when it carries a snapshot that cannot be read */
  receive(message: Message): void {
    this.#loop?.step(message);
    this.#stirred();
  }

  #tick(): void {
    this.#node?.tick();
    this.#reads.tick();
    this.#stirred();
  }

  get #started(): RawNode {
    assert(this.#node !== undefined, 'the driver was not started');
    return this.#node;
  }

  #leadingNode(): RawNode {
    if (this.#node !== undefined && this.leading && !this.#stopped) return this.#node;
    throw new StoreError('NOT_LEADER', LOST_TEXT);
  }

  /** Where to count from so that others, and other lives of this member, count elsewhere. */
  #unlikelyElsewhere(): bigint {
    return BigInt(1 + this.#options.randBelow(0x7fff_ffff)) << 32n;
  }

  /** Something came in that may be about the leadership. */
  #stirred(): void {
    if (this.#node !== undefined) this.#leadership.followHandover(this.#node, this.appliedIndex);
    this.#wake();
  }

  #wake(): void {
    this.#loop?.wake();
  }

  #failed(error: unknown): void {
    this.#stopped = true;
    this.#stopTicks?.();
    this.#reads.end();
    this.#snapshots.failed(error);
    this.#options.onFatal(error);
  }

  /** What is in flight fails first; then everything that only a leader runs is told. */
  #onLeadership(leading: boolean): void {
    if (!leading) {
      this.#changes.lost(new StoreError('LEADERSHIP_LOST', LOST_TEXT));
      this.#leaving = false;
      this.#options.machine.abort();
    }
    this.#options.onLeadership(leading);
  }

  #loopOn(node: RawNode): ReadyLoop {
    return new ReadyLoop({
      node,
      turns: this.#turns,
      stable: this.#stable,
      applied: this.#applied,
      snapshots: this.#snapshots,
      leadership: this.#leadership,
      reads: this.#reads,
      onLeader: (raftId) => this.#options.onLeader?.(raftId),
      onFatal: (error) => this.#failed(error),
    });
  }

  /** The log as the core sees it. */
  #storage(): LogStorage {
    const { log } = this.#options;
    return {
      initialState: () => log.initialState(),
      firstIndex: () => log.firstIndex(),
      lastIndex: () => log.lastIndex(),
      term: (index) => log.term(index),
      entries: (from, end, bytesMax) => log.entries(from, end, bytesMax),
      snapshot: () => this.#snapshots.newest(),
    };
  }
}

/** @throws StoreError NOT_LEADER */
function checkTaken(refusal: Refusal | null): void {
  if (refusal === null) return;
  throw new StoreError('NOT_LEADER', `raft: proposal refused: ${refusal.code}`);
}
