/** The transaction that is open: what it writes, and what its writes share. */
import assert from 'node:assert/strict';
import type { Timestamp } from '../../shared/wire/gen/well-known.ts';
import { ACTION_OVERHEAD_BYTES_MAX } from './entry-codec.ts';
import { timestampOf, type PendingWrite, type WriteContext } from './writes.ts';

const BEGINNING: Timestamp = { seconds: 0, nanos: 0 };

/** One at a time, used again for every transaction of a store. */
export class Session implements WriteContext {
  #version = 0;
  #now = BEGINNING;
  #open = false;
  #writes: PendingWrite[] = [];
  #bytesMax = 0;

  get version(): number {
    return this.#version;
  }

  get now(): Timestamp {
    return this.#now;
  }

  /** How many writes the transaction has made. */
  get length(): number {
    return this.#writes.length;
  }

  /** Upper bound of the bytes that its writes take in an entry. */
  get bytesMax(): number {
    return this.#bytesMax;
  }

  open(version: number, nowMs: number): void {
    assert(!this.#open, 'a transaction was begun within another');
    this.#open = true;
    this.#version = version;
    this.#now = timestampOf(nowMs);
  }

  close(): void {
    this.#open = false;
  }

  /** A transaction is valid until the function it was given to returns. */
  checkOpen(): void {
    assert(this.#open, 'a transaction was used after its end');
  }

  add(write: PendingWrite): void {
    this.#writes.push(write);
    this.#bytesMax += write.bytesMax + ACTION_OVERHEAD_BYTES_MAX;
  }

  /** What the transaction has written so far. */
  get writes(): readonly PendingWrite[] {
    return this.#writes;
  }

  /** Takes back all writes, newest first. */
  undo(): void {
    while (this.#writes.length > 0) {
      const write = this.#writes.pop();
      assert(write !== undefined);
      this.#bytesMax -= write.bytesMax + ACTION_OVERHEAD_BYTES_MAX;
      write.undo();
    }
  }

  /** Hands the writes over; the session is empty again. */
  take(): PendingWrite[] {
    const taken = this.#writes;
    this.#writes = [];
    this.#bytesMax = 0;
    return taken;
  }
}
