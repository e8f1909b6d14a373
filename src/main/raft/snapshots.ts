/**
 * Snapshots of this member: when one is taken, which may be sent, and how one that a leader sent is
 * taken in.
 *
 * One is taken at a time, and none of ours is written while a leader's is: it would overwrite what
 * replaces it.
 */
import assert from 'node:assert/strict';
import type { Snapshot } from '../../shared/wire/gen/raftpb.ts';
import type { Log as Logger } from '../log.ts';
import { cutStore, readSnapshot } from '../store/entry-codec.ts';
import type { AppliedState, StateMachine } from './applied-state.ts';
import type { DurableLog, ReceivedSnapshot } from './log/durable-log.ts';
import { openSnapshot, type SnapshotSource } from './snapshot-source.ts';
import { SnapshotRequests } from './snapshot-requests.ts';

export type SnapshotsOptions = {
  readonly log: DurableLog;
  readonly machine: StateMachine;
  readonly applied: AppliedState;
  readonly logger: Logger;
  /** Entries between two snapshots, 0 for none, and how many before one are kept. Read on each look. */
  readonly every: () => { readonly interval: number; readonly keep: number };
  readonly voters: () => readonly bigint[];
  /** There is one to be taken: `maybeTake` is to be called between two Readys. */
  readonly wake: () => void;
};

const NO_BYTES = new Uint8Array();

/** Bytes of a received snapshot that are stored at a time, about. */
const PIECE_BYTES = 256 * 1024;

function* piecesOf(bodies: readonly Uint8Array[]): Generator<Uint8Array, void> {
  for (const body of bodies) yield* cutStore(body, PIECE_BYTES);
}

export class Snapshots {
  readonly #options: SnapshotsOptions;
  /** Of the newest. */
  #index = 0;
  /** What was applied when the last one could not be stored: the next attempt waits as for a snapshot. */
  #failedAt = 0;
  /** A member needs a snapshot, and the newest one does not know it. */
  #wanted = false;
  #taking: Promise<void> | undefined;
  readonly #requests = new SnapshotRequests();

  constructor(options: SnapshotsOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the newest snapshot in the log is of what is applied now, or of more.
   * @throws when it cannot be stored, or there will be none
   */
  taken(): Promise<void> {
    const { applied, wake } = this.#options;
    if (this.#index >= applied.index) return Promise.resolve();
    const taken = this.#requests.wait(applied.index);
    wake();
    return taken;
  }

  /** There will be no more. Resolves when none is being written. */
  async end(): Promise<void> {
    await this.#taking;
    this.failed(new Error('this member was stopped'));
  }

  failed(error: unknown): void {
    this.#requests.failed(error);
  }

  /** The newest, for a member that is sent one. It is to be disposed of. */
  open(): SnapshotSource {
    return openSnapshot(this.#options.log);
  }

  /**
   * The newest, if it may be sent. A member takes no snapshot that does not know it, and none may tell of
   * members that came after its index: whoever restored it would apply their coming and going again, in
   * another order of majorities.
   */
  newest(): Snapshot | null {
    const snapshot = this.#options.log.snapshot();
    const known = new Set(snapshot?.metadata.confState.voters);
    const voters = this.#options.voters();
    if (voters.every((raftId) => known.has(raftId))) return snapshot;
    this.#wanted = true;
    return null;
  }

  /** A leader's snapshot, to be stored. Resolves when none of ours is being written. @throws WireError */
  async received(snapshot: Snapshot): Promise<ReceivedSnapshot> {
    const { membership, store } = readSnapshot(snapshot.data ?? NO_BYTES);
    const chunks = { [Symbol.iterator]: () => piecesOf(store) };
    const meta = { ...snapshot.metadata, ...membership };
    this.#options.logger.debug({ index: meta.index }, "takes a leader's snapshot");
    await this.#taking;
    return { meta, chunks };
  }

  /** The log's snapshot was applied, as a member starts. */
  restored(index: number): void {
    this.#index = index;
    this.#requests.made(index);
  }

  /** A leader's snapshot is in the log, and it is applied. */
  installed(index: number): void {
    this.restored(index);
    this.#options.logger.debug({ index }, "has a leader's snapshot");
  }

  /** Whether somebody needs a snapshot that can be begun now. */
  get isWanted(): boolean {
    if (this.#taking !== undefined || this.#options.applied.index <= this.#index) return false;
    return this.#wanted || !this.#requests.isEmpty;
  }

  /** Only between two Readys: a leader's snapshot must not come in while one of ours is begun. */
  maybeTake(): void {
    const { applied, every, logger } = this.#options;
    const { interval, keep } = every();
    const last = Math.max(this.#index, this.#failedAt);
    const isDue = interval > 0 && applied.index - last >= interval;
    if (this.#taking !== undefined || !(isDue || this.isWanted)) return;
    this.#wanted = false;
    this.#taking = this.#take(keep)
      .catch((error: unknown) => {
        logger.error({ error }, 'no snapshot was made');
        this.#failedAt = applied.index;
        this.#requests.failed(error);
      })
      .finally(() => {
        this.#taking = undefined;
        this.#requests.made(this.#index);
        if (this.isWanted) this.#options.wake();
      });
  }

  async #take(keep: number): Promise<void> {
    const { log, machine, logger, applied } = this.#options;
    const { index } = applied;
    const term = log.term(index);
    assert(term !== null, 'the last applied entry is in the log');
    logger.debug({ index }, 'makes a snapshot');
    await log.saveSnapshot(applied.describe(term), machine.snapshot());
    this.#index = index;
    logger.debug({ index: index - keep }, 'compacts the log');
    await log.compact(index - keep);
  }
}
