/**
 * A lane: the two-way connection between the main thread and one thread of an engine.
 *
 * How an engine's author uses it:
 *
 * - Declare one closed union of messages for each direction in `src/shared/lanes/<boundary>.ts`
 *   and type both ends with them: `Lane<ToPlacement, FromPlacement>` on the main thread and
 *   `Lane<FromPlacement, ToPlacement>` in the thread.
 * - The main side gets its lane from `src/main/pools/engine.ts`, the thread from serve.ts. Neither
 *   builds one by hand.
 * - `send` encodes the message at once and never blocks the main thread; what one turn sends goes
 *   out in as few frames as possible at the end of the turn. Messages arrive once and in order.
 * - Nothing is dropped, so a producer must hold back: stop taking input while `full` is true and
 *   `await ready()`; one that goes on regardless is refused with an OVERRUN error in the end. In a
 *   blocking thread `send` itself waits for room.
 * - Never await `ready()` of a lane inside the main side's message handler of the same lane: the
 *   main side always takes, which is what makes a cycle of two full rings impossible.
 * - `send` returns false once the lane is gone (its thread died). Do not retry: the successor's
 *   `onStart` sends a fresh snapshot of the store.
 *
 * Decoded messages are private to the receiver; typed arrays are copied once out of the frame.
 */
import assert from 'node:assert/strict';
import { WANT } from './bell.ts';
import { Decoder } from './codec.ts';
import { FrameReader } from './frames.ts';
import { LaneError } from './lane-error.ts';
import { EndControl, ringTowards, type LaneEnd, type LaneMemory } from './lane-memory.ts';
import { Outbox, TAG_RESTARTED, type OutboxCounters } from './outbox.ts';
import { RingReader } from './ring.ts';

/** What most of an engine's code needs of a lane; easy to stand in for in a test. */
export type Sender<Out> = {
  /** @returns false when the lane is gone and the message was not taken */
  send(message: Out): boolean;
  /** Whether the producer must hold back. */
  readonly full: boolean;
  /** Resolves when the lane is no longer full, or gone. */
  ready(): Promise<void>;
};

export type LaneOptions = {
  readonly memory: LaneMemory;
  readonly end: LaneEnd;
  /** Whether this end sleeps in Atomics.wait, and `send` with it when the queue is full. */
  readonly blocking?: boolean;
  /** Longest encoded message, in bytes. */
  readonly messageBytesMax?: number;
  /** From this many encoded bytes waiting for the ring on, the lane is `full`. */
  readonly waitingBytesMax?: number;
};

/** Counters of one end since it was opened. */
export type LaneStats = {
  readonly sent: OutboxCounters;
  readonly received: {
    readonly records: number;
    readonly frames: number;
    readonly bytes: number;
    readonly ringBytes: number;
    readonly stalls: number;
  };
  readonly wakeUps: number;
  readonly peerWakeUps: number;
};

/** What a producer may send between two looks at `full`, as a multiple of `waitingBytesMax`. */
const OVERRUN_FACTOR = 64;

/** One `take` stops after this many messages or bytes, so that a turn stays short. */
const TAKE_RECORDS = 512;
const TAKE_BYTES = 131_072;

export class Lane<Out, In> implements Sender<Out> {
  readonly #mine: EndControl;
  readonly #peer: EndControl;
  readonly #blocking: boolean;
  readonly #waitingBytesMax: number;
  readonly #outbox: Outbox;
  readonly #ring: RingReader;
  readonly #frames: FrameReader;
  readonly #decoder = new Decoder<In>();
  readonly #received = { records: 0, frames: 0, bytes: 0 };
  #flushQueued = false;
  #ending = false;
  #dropped = false;
  #readyWaiters: (() => void)[] = [];
  #finishWaiters: (() => void)[] = [];

  constructor(options: LaneOptions) {
    const { memory, end, messageBytesMax = 1 << 26, waitingBytesMax = 1 << 20 } = options;
    const other: LaneEnd = end === 'main' ? 'thread' : 'main';
    this.#mine = new EndControl(end, memory);
    this.#peer = new EndControl(other, memory);
    this.#blocking = options.blocking ?? false;
    this.#waitingBytesMax = waitingBytesMax;
    this.#outbox = new Outbox({
      place: ringTowards(other, memory),
      messageBytesMax,
      published: () => this.#peer.bell.ring(WANT.data),
    });
    this.#ring = new RingReader(ringTowards(end, memory));
    // A frame holds one message or a batch that is shorter than the longest message may be.
    this.#frames = new FrameReader(this.#ring, Math.max(messageBytesMax, 1 << 16));
    this.#mine.markOpened();
    this.#peer.bell.ring(WANT.data);
  }

  get full(): boolean {
    return this.#outbox.waitingBytes >= this.#waitingBytesMax;
  }

  /** Whether the lane was dropped: it neither sends nor delivers any more. */
  get dropped(): boolean {
    return this.#dropped;
  }

  /** Whether the other end has been opened by its thread. */
  get peerOpened(): boolean {
    return this.#peer.opened;
  }

  /** Whether the peer has ended and all its messages have been taken. */
  get drained(): boolean {
    // The order matters: after the end is seen, an empty ring stays empty.
    return this.#peer.ended && this.#ring.peekLength() < 0;
  }

  /** Whether this end has said its end. */
  get ended(): boolean {
    return this.#mine.ended;
  }

  /**
   * Queues a message for the peer.
   *
   * @throws LaneError when the message cannot be carried; earlier and later ones are not affected
   */
  send(message: Out): boolean {
    if (this.#ending || this.#dropped) return false;
    if (this.#outbox.waitingBytes > OVERRUN_FACTOR * this.#waitingBytesMax) {
      throw new LaneError(
        'OVERRUN',
        `a producer ignored a full lane: ${this.#outbox.waitingBytes} bytes are waiting`,
      );
    }
    this.#outbox.put(message);
    if (this.#blocking) {
      if (this.full) this.flushBlocking();
    } else if (!this.#flushQueued) {
      this.#flushQueued = true;
      queueMicrotask(() => {
        this.#flushQueued = false;
        this.flush();
      });
    }
    return true;
  }

  async ready(): Promise<void> {
    if (this.#dropped || !this.full) return;
    await new Promise<void>((resolve) => this.#readyWaiters.push(resolve));
  }

  /** Says that nothing more will be sent; the peer learns of it after all that is queued. */
  end(): void {
    this.#ending = true;
    this.flush();
  }

  /** `end`, resolving when all that was queued is in the ring, or the lane was dropped. */
  async finish(): Promise<void> {
    this.end();
    if (this.ended || this.#dropped) return;
    await new Promise<void>((resolve) => this.#finishWaiters.push(resolve));
  }

  /** For a peer whose thread is dead: what it had published is still delivered, then the lane ends. */
  peerDied(): void {
    this.#peer.markEnded();
    this.#mine.bell.ringAlways();
  }

  /** Lets go of the lane at once: for a dead thread. Nothing is sent or delivered after this. */
  drop(): void {
    this.#dropped = true;
    this.#outbox.clear();
    this.#readyWaiters = release(this.#readyWaiters);
    this.#finishWaiters = release(this.#finishWaiters);
    this.#mine.bell.ringAlways();
  }

  /** Moves what is queued into the ring as far as there is room; returns whether all went. */
  flush(): boolean {
    if (this.#dropped) return true;
    let empty = this.#outbox.flush();
    if (!empty) {
      this.#mine.bell.want(WANT.space);
      // The room may have come between the flush and the wish.
      if (this.#outbox.canFlush()) empty = this.#outbox.flush();
    }
    if (this.#outbox.waitingBytes * 2 <= this.#waitingBytesMax) {
      this.#readyWaiters = release(this.#readyWaiters);
    }
    if (empty && this.#ending && !this.#mine.ended) {
      this.#mine.markEnded();
      this.#peer.bell.ring(WANT.data);
      this.#mine.bell.ringAlways();
      this.#finishWaiters = release(this.#finishWaiters);
    }
    return empty;
  }

  /** Blocks this thread until all that is queued is in the ring. */
  flushBlocking(): void {
    assert(this.#blocking, 'only a blocking end may block');
    for (;;) {
      const ticket = this.#mine.bell.ticket();
      if (this.flush()) return;
      if (!this.#outbox.canFlush()) this.#mine.bell.sleep(ticket, Infinity);
    }
  }

  /** Takes messages that have arrived, in order; empty when there are none now. */
  take(): In[] {
    const messages: In[] = [];
    let bytes = 0;
    while (!this.#dropped && messages.length < TAKE_RECORDS && bytes < TAKE_BYTES) {
      const frame = this.#frames.read();
      if (this.#ring.isHalfEmpty) this.#peer.bell.ring(WANT.space);
      if (frame === undefined) break;
      if (frame.tag === TAG_RESTARTED) this.#decoder.restart();
      messages.push(...this.#decoder.decode(frame.bytes));
      bytes += frame.bytes.length;
      this.#received.frames += 1;
    }
    this.#received.records += messages.length;
    this.#received.bytes += bytes;
    return messages;
  }

  /** Blocks this thread until there may be something to take, or for `timeoutMs`. */
  sleep(timeoutMs: number): void {
    assert(this.#blocking, 'only a blocking end may block');
    const ticket = this.#mine.bell.ticket();
    if (!this.wantData()) this.#mine.bell.sleep(ticket, timeoutMs);
  }

  /** Asks to be woken for data; returns whether there is some already, or an end. */
  wantData(): boolean {
    this.#mine.bell.want(WANT.data);
    return this.#ring.peekLength() >= 0 || this.#peer.ended || this.#dropped;
  }

  /** For a listener: the count to wait on; read it before looking at the lane. */
  ticket(): number {
    return this.#mine.bell.ticket();
  }

  /** For a listener: resolves when this end has been rung since `ticket`. */
  async rung(ticket: number): Promise<void> {
    await this.#mine.bell.wait(ticket);
  }

  /** Wakes this end's own listener. */
  wake(): void {
    this.#mine.bell.ringAlways();
  }

  stats(): LaneStats {
    return {
      sent: this.#outbox.counters,
      received: {
        ...this.#received,
        ringBytes: this.#ring.depthBytes,
        stalls: this.#ring.stalls,
      },
      wakeUps: this.#mine.bell.wakeUps,
      peerWakeUps: this.#peer.bell.wakeUps,
    };
  }
}

function release(waiters: readonly (() => void)[]): [] {
  for (const resolve of waiters) resolve();
  return [];
}
