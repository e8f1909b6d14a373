/**
 * Reads that wait until a majority has confirmed that this node still leads (raft thesis section
 * 6.4). Requests queue in order: the confirmation of one confirms all before it.
 */
import type { Message } from '../../../shared/wire/gen/raftpb.ts';

/** A read that may be answered once the state up to `index` is applied. */
export type ReadState = { readonly index: number; readonly context: Uint8Array };

/** A read on its way: who asked, and the commit index when it arrived. */
export type PendingRead = {
  readonly request: Message;
  readonly index: number;
  readonly acknowledged: Set<bigint>;
};

export class ReadOnly {
  /** By context, in order of arrival. */
  readonly #pending = new Map<string, PendingRead>();
  #lastContext: Uint8Array | undefined;

  /** The context of the youngest waiting read, which the next heartbeats carry. */
  get lastContext(): Uint8Array | undefined {
    return this.#lastContext;
  }

  /** Queues `request`; a second one with the same context adds nothing. */
  add(request: Message, index: number): void {
    const context = contextOf(request);
    if (this.#pending.has(keyOf(context))) return;
    this.#pending.set(keyOf(context), { request, index, acknowledged: new Set() });
    this.#lastContext = context;
  }

  /** `from` answered a heartbeat with `context`. @returns who has, so far. */
  acknowledge(from: bigint, context: Uint8Array): ReadonlySet<bigint> {
    const acknowledged = this.#pending.get(keyOf(context))?.acknowledged;
    return acknowledged?.add(from) ?? new Set();
  }

  /** Takes out the read with `context` and all before it. */
  release(context: Uint8Array): readonly PendingRead[] {
    const last = keyOf(context);
    if (!this.#pending.has(last)) return [];
    const released: PendingRead[] = [];
    for (const [key, read] of this.#pending) {
      released.push(read);
      this.#pending.delete(key);
      if (key === last) break;
    }
    if (this.#pending.size === 0) this.#lastContext = undefined;
    return released;
  }

  clear(): void {
    this.#pending.clear();
    this.#lastContext = undefined;
  }
}

/** What the asker recognises its read by. */
export function contextOf(request: Message): Uint8Array {
  return request.entries[0]?.data ?? new Uint8Array();
}

function keyOf(context: Uint8Array): string {
  return String.fromCharCode(...context);
}
