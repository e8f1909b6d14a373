/**
 * The real store over a log in memory, for tests: entries commit by themselves a moment later, or when
 * the test says so.
 */
import assert from 'node:assert/strict';
import type { Env } from '../../../shared/kit/env.ts';
import type { Log, LogFollower } from '../proposals.ts';
import { refusal } from '../refusals.ts';
import { ReplicatedStore } from '../store.ts';

export type MemoryLogOptions = {
  /** Entries commit only when the test calls `commitNext` or `commitAll`. */
  readonly manual?: boolean;
  /** Runs a function at the end of a turn; `queueMicrotask` unless given. */
  readonly defer?: (run: () => void) => void;
};

/** One log entry as it was proposed. */
export type MemoryEntry = { readonly index: number; readonly bytes: Uint8Array };

export class MemoryLog implements Log {
  readonly #manual: boolean;
  #follower: LogFollower | undefined;
  #pending: MemoryEntry[] = [];
  #lastIndex = 0;
  #committedIndex = 0;
  #leading = true;
  /** Every entry that was committed, in order. */
  readonly committed: MemoryEntry[] = [];

  constructor(options: MemoryLogOptions = {}) {
    this.#manual = options.manual ?? false;
  }

  attach(follower: LogFollower): void {
    this.#follower = follower;
  }

  get lastIndex(): number {
    return this.#lastIndex;
  }

  get leading(): boolean {
    return this.#leading;
  }

  /** Proposed and not yet committed. */
  get pending(): readonly MemoryEntry[] {
    return this.#pending;
  }

  propose(bytes: Uint8Array): { readonly index: number } {
    if (!this.#leading) throw refusal('NOT_LEADER');
    const index = (this.#lastIndex += 1);
    this.#pending.push({ index, bytes });
    if (!this.#manual) queueMicrotask(() => this.#commitUpTo(index));
    return { index };
  }

  /** Commits the next `count` entries. */
  commitNext(count = 1): void {
    for (let i = 0; i < count; i += 1) {
      const entry = this.#pending.shift();
      assert(entry !== undefined, 'no entry waits to be committed');
      this.#committedIndex = entry.index;
      this.committed.push(entry);
      this.#follower?.committed(entry.index, entry.bytes);
    }
  }

  commitAll(): void {
    this.commitNext(this.#pending.length);
  }

  /** Stops leading: what is pending fails and is forgotten, as if the next leader had overwritten it. */
  loseLeadership(): void {
    this.#leading = false;
    this.#pending = [];
    this.#lastIndex = this.#committedIndex;
    this.#follower?.abort();
  }

  /** Leads again. */
  gainLeadership(): void {
    this.#leading = true;
  }

  /** An entry that another manager made is committed. */
  receive(bytes: Uint8Array | undefined): void {
    assert(this.#pending.length === 0, 'own entries stand before this one');
    this.#committedIndex = this.#lastIndex += 1;
    if (bytes !== undefined) this.committed.push({ index: this.#lastIndex, bytes });
    this.#follower?.committed(this.#lastIndex, bytes);
  }

  /** The log goes on behind a snapshot. */
  compact(index: number): void {
    assert(this.#pending.length === 0 && index >= this.#lastIndex, 'a snapshot of the past');
    this.#committedIndex = this.#lastIndex = index;
  }

  #commitUpTo(index: number): void {
    while ((this.#pending[0]?.index ?? Infinity) <= index) this.commitNext();
  }
}

export type MemoryStore = { readonly store: ReplicatedStore; readonly log: MemoryLog };

/**
 * An empty store that leads. By default entries commit in later microtasks of the same turn, so
 * `await store.update(...)` is all a test needs. Stored objects are frozen.
 */
export function openMemoryStore(env: Env, options: MemoryLogOptions = {}): MemoryStore {
  const log = new MemoryLog(options);
  const { defer = queueMicrotask } = options;
  const store = new ReplicatedStore({ env, log, defer, freeze: true });
  log.attach(store);
  return { store, log };
}
