/**
 * The loop that obeys the raft core: it carries out one Ready after the other, each in the order that
 * the core asks for (`core/ready.ts`).
 */
import { type Entry, type Message, MessageType } from '../../shared/wire/gen/raftpb.ts';
import type { Cancel, Turns } from '../kit/turns.ts';
import { readSnapshot } from '../store/entry-codec.ts';
import type { AppliedState } from './applied-state.ts';
import type { RawNode } from './core/raw-node.ts';
import type { Ready } from './core/ready.ts';
import type { Leadership } from './leadership.ts';
import type { ReceivedSnapshot } from './log/durable-log.ts';
import type { PersistThenSend } from './persist-then-send.ts';
import type { Reads } from './reads.ts';
import type { Snapshots } from './snapshots.ts';

/** Payload of the entries that are applied in one turn, about. */
const TURN_BYTES = 96 * 1024;

export type ReadyLoopOptions = {
  readonly stable: PersistThenSend;
  readonly applied: AppliedState;
  readonly snapshots: Snapshots;
  readonly leadership: Leadership;
  readonly reads: Reads;
  readonly node: RawNode;
  readonly turns: Turns;
  /** Another member leads from now on; 0 when none is known. */
  readonly onLeader: (raftId: bigint) => void;
  /** The disk failed: the loop has ended. */
  readonly onFatal: (error: unknown) => void;
};

export class ReadyLoop {
  readonly #options: ReadyLoopOptions;
  #running: Promise<void> | undefined;
  #scheduled: Cancel | undefined;
  #hurries = false;
  #stopped = false;
  /** A leader's snapshot that came while a Ready was being carried out. */
  #heldSnapshot: Message | undefined;

  constructor(options: ReadyLoopOptions) {
    this.#options = options;
  }

  /** There may be something to do: it begins in a turn of its own. */
  wake(): void {
    if (this.#stopped || this.#running !== undefined) return;
    this.#scheduled ??= this.#options.turns.soon(() => {
      this.#scheduled = undefined;
      void this.run();
    });
  }

  /** There is something to do, and what this turn may still bring need not be waited for: it begins in this turn. */
  hurry(): void {
    if (this.#stopped || this.#running !== undefined || this.#hurries) return;
    this.#hurries = true;
    this.#options.turns.afterThis(() => {
      this.#hurries = false;
      if (!this.#stopped) void this.run();
    });
  }

  /** A message of a peer. @throws WireError when it carries a snapshot that cannot be read */
  step(message: Message): void {
    if (message.type === MessageType.MsgSnap) {
      readSnapshot(message.snapshot?.data ?? new Uint8Array());
      // It brings its members at once. What is being applied was committed before them.
      if (this.#running !== undefined) {
        this.#heldSnapshot = message;
        return;
      }
    }
    this.#options.node.step(message);
  }

  /** Begins no further Ready; resolves when none is being carried out. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#scheduled?.();
    await this.#running;
  }

  /** Does all there is to do. What comes in just as it ends is done in a later turn. */
  run(): Promise<void> {
    return (this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      const { node, reads, snapshots } = this.#options;
      const isDue = reads.due || snapshots.isWanted || this.#heldSnapshot !== undefined;
      if (node.hasReady() || isDue) this.wake();
    }));
  }

  async #run(): Promise<void> {
    const { node, reads, snapshots, onFatal } = this.#options;
    try {
      for (;;) {
        if (this.#heldSnapshot !== undefined) node.step(this.#heldSnapshot);
        this.#heldSnapshot = undefined;
        reads.ask();
        if (snapshots.isWanted) snapshots.maybeTake();
        if (!node.hasReady()) return;
        await this.#carryOut(node.ready());
      }
    } catch (error) {
      this.#stopped = true;
      onFatal(error);
    }
  }

  async #carryOut(ready: Ready): Promise<void> {
    const { node, stable, applied, snapshots, leadership, reads } = this.#options;
    this.#hear(ready);
    const { snapshot, mustSync } = ready.persist;
    const received = snapshot === null ? undefined : snapshots.received(snapshot);
    await stable.carryOut(ready, received);
    if (received !== undefined) await this.#install(await received);
    await this.#apply(ready.committed);
    node.advance();
    leadership.followHandover(node, applied.index);
    reads.applied(applied.index);
    leadership.maybeLead(applied.index);
    snapshots.maybeTake();
    // Let other work in between two turns that never waited for the disk.
    if (!mustSync && node.hasReady()) await this.#nextTurn();
  }

  /** Applies all in short turns: how much is committed at a time depends on the disk, not on a turn's length. */
  async #apply(entries: readonly Entry[]): Promise<void> {
    let bytes = 0;
    for (const entry of entries) {
      if (bytes > TURN_BYTES) {
        await this.#nextTurn();
        bytes = 0;
      }
      this.#options.applied.apply(entry);
      bytes += entry.data?.length ?? 0;
    }
  }

  #nextTurn(): Promise<void> {
    return new Promise<void>((resolve) => void this.#options.turns.soon(resolve));
  }

  /** What a Ready tells that nobody has to carry out. */
  #hear({ softState, readStates }: Ready): void {
    const { node, leadership, reads, onLeader } = this.#options;
    if (softState !== null) {
      leadership.roleChanged(node, softState.role === 'leader');
      onLeader(softState.leader);
      if (softState.leader !== 0n) reads.askAgain();
    }
    for (const { context, index } of readStates) reads.grant(context, index);
  }

  async #install(received: ReceivedSnapshot): Promise<void> {
    await this.#options.applied.restore(received);
    this.#options.snapshots.installed(received.meta.index);
  }
}
