/**
 * A disk in virtual time, and a durable log on it.
 *
 * What is written can be read at once, but is durable only when its sync ends; a crash loses the tail
 * of what was not. A sync may be slow, and a disk may be full.
 */
import assert from 'node:assert/strict';
import type { RaftMember } from '../../src/shared/wire/gen/raft.ts';
import { HardState, SnapshotMetadata } from '../../src/shared/wire/gen/raftpb.ts';
import type { Entry, Snapshot } from '../../src/shared/wire/gen/raftpb.ts';
import { limitBytes } from '../../src/main/raft/core/entry-size.ts';
import type { Persist } from '../../src/main/raft/core/ready.ts';
import type { InitialState } from '../../src/main/raft/core/storage.ts';
import type {
  DurableLog,
  ReceivedSnapshot,
  SnapshotMeta,
  StoredSnapshot,
} from '../../src/main/raft/log/durable-log.ts';
import type { World } from './world.ts';

/** One thing that a log writes, all or nothing. */
type Step =
  | {
      readonly kind: 'save';
      readonly hardState: HardState | null;
      readonly entries: readonly Entry[];
      readonly received?: ReceivedSnapshot | undefined;
    }
  | { readonly kind: 'member'; readonly member: RaftMember; readonly peers: readonly RaftMember[] }
  | {
      readonly kind: 'snapshot';
      readonly meta: SnapshotMeta;
      readonly chunks: readonly Uint8Array[];
    }
  | { readonly kind: 'compact'; readonly index: number };

/** What the disk says of a write: nothing wrong, or why it never will be durable. */
type Outcome = (error: DiskFullError | null) => void;

type Write = (step: Step, done: Outcome) => void;

/** Hears of a save: what, and which hard state stood there before. It can be read, and is not durable. */
export type OnSave = (saved: {
  readonly persist: Persist;
  readonly received: ReceivedSnapshot | undefined;
  readonly before: HardState;
}) => void;

export class DiskFullError extends Error {
  override readonly name = 'DiskFullError';
}

/** Outlives its manager. */
export class SimulatedDisk {
  readonly #world: World;
  readonly #durable = new LogState();
  /** Written, but not durable yet, oldest first. */
  #unsynced: Step[] = [];
  /** Counts the processes that used the disk: what a dead one waits for never comes. */
  #process = 0;
  /** A sync takes up to this long. */
  syncMsMax = 5;
  full = false;
  /** Crashes that lost something that was written. */
  lostTails = 0;
  /** Hears what has just become durable, before its writer does. */
  onSynced: (kind: Step['kind']) => void = () => undefined;

  constructor(world: World) {
    this.#world = world;
  }

  /** What a crash cannot take: the hard state, and the end of the log. */
  get durable(): { readonly hardState: HardState; readonly lastIndex: number } {
    return this.#durable;
  }

  /** Opens the log as it is now; the one opened before is dead. */
  open(onSave?: OnSave): SimulatedLog {
    this.crash();
    const process = this.#process;
    const write: Write = (step, done) => {
      if (process === this.#process) this.#write(step, done);
    };
    return new SimulatedLog(this.#durable.copy(), write, onSave);
  }

  /**
   * The process ends. Of what was not durable a part survives, up to where luck has it; what was
   * being written there is torn, found out by its checksum, and gone.
   */
  crash(): void {
    this.#process += 1;
    const kept = this.#world.random.below(this.#unsynced.length + 1);
    if (kept < this.#unsynced.length) this.lostTails += 1;
    this.#sync(kept);
    this.#unsynced = [];
  }

  #write(step: Step, done: Outcome): void {
    const process = this.#process;
    const tell = (error: DiskFullError | null): void => {
      // The writer learns of it a little later: a crash in between must lose nothing.
      this.#world.after(this.#world.upTo(0.2), () => process === this.#process && done(error));
    };
    if (this.full) {
      tell(new DiskFullError('no space left on device'));
      return;
    }
    this.#unsynced.push(step);
    this.#world.after(this.#world.upTo(this.syncMsMax), () => {
      if (process !== this.#process) return;
      this.#sync(this.#unsynced.indexOf(step) + 1);
      tell(null);
      this.onSynced(step.kind);
    });
  }

  /** Makes the first `count` of what is not durable durable. */
  #sync(count: number): void {
    for (const step of this.#unsynced.splice(0, count)) this.#durable.apply(step);
  }
}

/** What the writes so far amount to. */
class LogState {
  hardState: HardState = HardState.create();
  member: RaftMember | undefined;
  peers: readonly RaftMember[] = [];
  snapshot: { readonly meta: SnapshotMeta; readonly chunks: readonly Uint8Array[] } | undefined;
  compacted = { index: 0, term: 0 };
  entries: Entry[] = [];

  get firstIndex(): number {
    return this.compacted.index + 1;
  }

  get lastIndex(): number {
    return this.compacted.index + this.entries.length;
  }

  term(index: number): number | null {
    if (index === this.compacted.index) return this.compacted.term;
    return this.entries[index - this.firstIndex]?.term ?? null;
  }

  apply(step: Step): void {
    switch (step.kind) {
      case 'save':
        if (step.received !== undefined) this.#replaceBy(step.received);
        this.#save(step.entries);
        this.hardState = step.hardState ?? this.hardState;
        return;
      case 'member':
        this.member = step.member;
        this.peers = step.peers;
        return;
      case 'snapshot':
        this.snapshot = { meta: step.meta, chunks: step.chunks };
        return;
      case 'compact':
        this.#compact(step.index);
    }
  }

  copy(): LogState {
    const copy = new LogState();
    const { hardState, member, peers, snapshot, compacted, entries } = this;
    const log = { snapshot, compacted, entries: [...entries] };
    return Object.assign(copy, { hardState, member, peers, ...log });
  }

  #save(entries: readonly Entry[]): void {
    const [first] = entries;
    if (first === undefined) return;
    assert(first.index <= this.lastIndex + 1, `gap before ${first.index}`);
    assert(first.index >= this.firstIndex, `entry ${first.index} is compacted`);
    this.entries.length = first.index - this.firstIndex;
    this.entries.push(...entries);
  }

  #replaceBy(received: ReceivedSnapshot): void {
    const { index, term } = received.meta;
    this.snapshot = { meta: received.meta, chunks: [...received.chunks] };
    this.compacted = { index, term };
    this.entries = [];
  }

  #compact(index: number): void {
    const term = this.term(index);
    if (term === null || index <= this.compacted.index) return;
    assert(index <= (this.snapshot?.meta.index ?? 0), 'only what a snapshot covers is compacted');
    this.entries.splice(0, index - this.compacted.index);
    this.compacted = { index, term };
  }
}

export class SimulatedLog implements DurableLog {
  readonly #state: LogState;
  readonly #write: Write;
  readonly #onSave: OnSave | undefined;
  #saving = false;

  constructor(state: LogState, write: Write, onSave?: OnSave) {
    this.#state = state;
    this.#write = write;
    this.#onSave = onSave;
  }

  initialState(): InitialState {
    const { hardState, snapshot } = this.#state;
    const confState = snapshot?.meta.confState ?? SnapshotMetadata.create().confState;
    return { hardState, confState };
  }

  firstIndex(): number {
    return this.#state.firstIndex;
  }

  lastIndex(): number {
    return this.#state.lastIndex;
  }

  term(index: number): number | null {
    return this.#state.term(index);
  }

  entries(from: number, end: number, bytesMax: number): readonly Entry[] | null {
    const { firstIndex, lastIndex, entries } = this.#state;
    if (from < firstIndex) return null;
    assert(end <= lastIndex + 1, `entries up to ${end} of ${lastIndex}`);
    return limitBytes(entries.slice(from - firstIndex, end - firstIndex), bytesMax);
  }

  snapshot(): Snapshot {
    const { index, term } = this.#state.snapshot?.meta ?? this.#state.compacted;
    const { confState } = this.initialState();
    return { data: undefined, metadata: { index, term, confState } };
  }

  member(): RaftMember | undefined {
    return this.#state.member;
  }

  peers(): readonly RaftMember[] {
    return this.#state.peers;
  }

  saveMember(member: RaftMember, peers: readonly RaftMember[] = []): Promise<void> {
    return this.#put({ kind: 'member', member, peers });
  }

  async save(persist: Persist, received?: ReceivedSnapshot): Promise<void> {
    const { hardState, entries } = persist;
    assert(!this.#saving, 'one save at a time');
    this.#saving = true;
    const before = this.#state.hardState;
    const saved = this.#put({ kind: 'save', hardState, entries, received });
    this.#onSave?.({ persist, received, before });
    await saved;
    this.#saving = false;
  }

  async saveSnapshot(meta: SnapshotMeta, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const pieces: Uint8Array[] = [];
    for await (const chunk of chunks) pieces.push(chunk);
    await this.#put({ kind: 'snapshot', meta, chunks: pieces });
  }

  readSnapshot(): StoredSnapshot | undefined {
    const { snapshot } = this.#state;
    if (snapshot === undefined) return undefined;
    return { ...snapshot, bytes: this.snapshotBytes(), [Symbol.dispose]: () => undefined };
  }

  async removeLeftovers(): Promise<void> {
    // A torn write leaves nothing here.
  }

  snapshotBytes(): number {
    return this.#state.snapshot?.chunks.reduce((sum, chunk) => sum + chunk.length, 0) ?? 0;
  }

  compact(index: number): Promise<void> {
    return this.#put({ kind: 'compact', index });
  }

  sizeBytes(): number {
    return this.#state.entries.reduce((sum, { data }) => sum + (data?.length ?? 0), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Nothing is open.
  }

  /** What is written can be read at once, durable or not; but a snapshot only when it is whole. */
  #put(step: Step): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const whole = step.kind === 'snapshot';
    this.#write(step, (error) => {
      if (error !== null) return reject(error);
      if (whole) this.#state.apply(step);
      resolve();
    });
    if (!whole) this.#state.apply(step);
    return promise;
  }
}
