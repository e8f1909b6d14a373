/**
 * The shared memory of one lane: a control line for each end and two rings.
 *
 * It is made by the main thread, fresh for every thread it starts, and handed over with the thread's
 * start; nothing in it survives a thread, so a new one never meets its predecessor's half frames.
 */
import { BELL_WORDS, Bell } from './bell.ts';
import { ringMemoryBytes, type RingPlace } from './ring.ts';

/** The two ends of a lane. */
export type LaneEnd = 'main' | 'thread';

/** What a thread is given to open its end; passes through structured clone. */
export type LaneMemory = {
  readonly memory: SharedArrayBuffer;
  readonly toThreadBytes: number;
  readonly toMainBytes: number;
};

/** Two cache lines for each end, so that neither end writes the other's. */
const CONTROL_WORDS = 32;
const CONTROL_BYTES = 2 * CONTROL_WORDS * Int32Array.BYTES_PER_ELEMENT;

const OPENED = BELL_WORDS;
const ENDED = BELL_WORDS + 1;

/** Capacities are powers of two; 256 KiB hold about 800 full task records. */
export function createLaneMemory(
  capacities: { readonly toThreadBytes?: number; readonly toMainBytes?: number } = {},
): LaneMemory {
  const { toThreadBytes = 262_144, toMainBytes = 262_144 } = capacities;
  const bytes = CONTROL_BYTES + ringMemoryBytes(toThreadBytes) + ringMemoryBytes(toMainBytes);
  return { memory: new SharedArrayBuffer(bytes), toThreadBytes, toMainBytes };
}

/** Where the ring towards an end lies. */
export function ringTowards(end: LaneEnd, lane: LaneMemory): RingPlace {
  const { memory, toThreadBytes, toMainBytes } = lane;
  return end === 'thread'
    ? { memory, offsetBytes: CONTROL_BYTES, capacityBytes: toThreadBytes }
    : {
        memory,
        offsetBytes: CONTROL_BYTES + ringMemoryBytes(toThreadBytes),
        capacityBytes: toMainBytes,
      };
}

/** The control line of one end: its bell, and what it has told its peer. */
export class EndControl {
  readonly bell: Bell;
  readonly #words: Int32Array<SharedArrayBuffer>;

  constructor(end: LaneEnd, lane: LaneMemory) {
    const offset = end === 'main' ? 0 : CONTROL_BYTES / 2;
    this.#words = new Int32Array(lane.memory, offset, CONTROL_WORDS);
    this.bell = new Bell(this.#words);
  }

  /** Whether this end has been opened by its thread. */
  get opened(): boolean {
    return Atomics.load(this.#words, OPENED) === 1;
  }

  /** Whether this end has published its last frame. */
  get ended(): boolean {
    return Atomics.load(this.#words, ENDED) === 1;
  }

  markOpened(): void {
    Atomics.store(this.#words, OPENED, 1);
  }

  markEnded(): void {
    Atomics.store(this.#words, ENDED, 1);
  }
}
