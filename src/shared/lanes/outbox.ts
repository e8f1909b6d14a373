/**
 * The sending half of a lane: encodes messages, packs them into frames, and queues what the ring has
 * no room for.
 *
 * A message is encoded when it is put in, so what its owner does to it afterwards changes nothing,
 * an unencodable one fails its sender at once, and the queue is bounded in bytes rather than guessed.
 */
import { Encoder } from './codec.ts';
import { FrameWriter } from './frames.ts';
import { LaneError } from './lane-error.ts';
import { RingWriter, type RingPlace } from './ring.ts';

/** A frame is closed at this size or count, so that the consumer starts while we go on. */
const FRAME_BYTES = 32_768;
const FRAME_RECORDS_MAX = 256;

/** Tag of the first frame after the encoder restarted. */
export const TAG_RESTARTED = 1;

type QueuedFrame = { readonly bytes: Uint8Array; readonly tag: number };

export type OutboxOptions = {
  readonly place: RingPlace;
  readonly messageBytesMax: number;
  /** Called after each frame that was published. */
  readonly published: () => void;
};

export class Outbox {
  readonly #ring: RingWriter;
  readonly #frames: FrameWriter;
  readonly #encoder = new Encoder();
  readonly #options: OutboxOptions;
  readonly #batch = new Uint8Array(FRAME_BYTES);
  #batchBytes = 0;
  #batchRecords = 0;
  #batchTag = 0;
  #queue: QueuedFrame[] = [];
  #queueBytes = 0;
  #firstOffset = 0;
  #records = 0;
  #framesWritten = 0;
  #bytesWritten = 0;

  constructor(options: OutboxOptions) {
    this.#options = options;
    this.#ring = new RingWriter(options.place);
    this.#frames = new FrameWriter(this.#ring);
  }

  /** Encoded bytes that are not yet in the ring. */
  get waitingBytes(): number {
    return this.#queueBytes + this.#batchBytes;
  }

  get counters(): OutboxCounters {
    return {
      records: this.#records,
      frames: this.#framesWritten,
      bytes: this.#bytesWritten,
      ringBytes: this.#ring.depthBytes,
      waitingBytes: this.waitingBytes,
      stalls: this.#ring.stalls,
    };
  }

  /**
   * Takes a message.
   *
   * @throws LaneError `NOT_ENCODABLE`, `MESSAGE_TOO_LONG`: the message was not taken, all others were
   */
  put(message: unknown): void {
    const bytes = this.#encode(message);
    if (this.#batchBytes + bytes.length > FRAME_BYTES) this.#closeBatch();
    this.#records += 1;
    if (bytes.length > FRAME_BYTES) {
      this.#enqueue(bytes);
      return;
    }
    this.#batch.set(bytes, this.#batchBytes);
    this.#batchBytes += bytes.length;
    this.#batchRecords += 1;
    if (this.#batchRecords === FRAME_RECORDS_MAX) this.#closeBatch();
  }

  /** Moves what is waiting into the ring; returns whether nothing is left waiting. */
  flush(): boolean {
    this.#closeBatch();
    let done = 0;
    for (const frame of this.#queue) {
      const stoppedAt = this.#frames.write(frame.bytes, this.#firstOffset, frame.tag);
      if (stoppedAt !== undefined) {
        if (stoppedAt > this.#firstOffset) this.#options.published();
        this.#firstOffset = stoppedAt;
        break;
      }
      this.#firstOffset = 0;
      this.#queueBytes -= frame.bytes.length;
      this.#wrote(frame.bytes.length);
      done += 1;
    }
    if (done > 0) this.#queue = this.#queue.slice(done);
    return this.#queue.length === 0;
  }

  /** Whether `flush` would make progress now. */
  canFlush(): boolean {
    const first = this.#queue[0];
    return first === undefined || this.#frames.canWrite(first.bytes, this.#firstOffset);
  }

  /** Forgets what is waiting. */
  clear(): void {
    this.#queue = [];
    this.#queueBytes = 0;
    this.#batchBytes = 0;
    this.#batchRecords = 0;
  }

  #encode(message: unknown): Uint8Array {
    try {
      const bytes = this.#encoder.encode(message);
      const { messageBytesMax } = this.#options;
      if (bytes.length <= messageBytesMax) return bytes;
      throw new LaneError(
        'MESSAGE_TOO_LONG',
        `a message of ${bytes.length} bytes exceeds the ${messageBytesMax} that a lane carries`,
      );
    } catch (error) {
      // Shapes described in the refused message never reach the decoder.
      this.#closeBatch();
      this.#encoder.restart();
      this.#batchTag = TAG_RESTARTED;
      throw error;
    }
  }

  #closeBatch(): void {
    if (this.#batchBytes === 0) return;
    const frame = this.#batch.subarray(0, this.#batchBytes);
    this.#batchBytes = 0;
    this.#batchRecords = 0;
    this.#enqueue(frame);
  }

  /** Writes a frame at once if none is before it; otherwise queues a copy. */
  #enqueue(bytes: Uint8Array): void {
    const tag = this.#batchTag;
    this.#batchTag = 0;
    if (this.#queue.length === 0) {
      const stoppedAt = this.#frames.write(bytes, 0, tag);
      if (stoppedAt === undefined) {
        this.#wrote(bytes.length);
        return;
      }
      if (stoppedAt > 0) this.#options.published();
      this.#firstOffset = stoppedAt;
    }
    // Not `slice`: of a Buffer that would be a view of memory about to be reused.
    this.#queue.push({ bytes: new Uint8Array(bytes), tag });
    this.#queueBytes += bytes.length;
  }

  #wrote(length: number): void {
    this.#framesWritten += 1;
    this.#bytesWritten += length;
    this.#options.published();
  }
}

/** What an end has sent; byte counts are of encoded messages. */
export type OutboxCounters = {
  readonly records: number;
  readonly frames: number;
  readonly bytes: number;
  /** In the ring, not yet taken by the peer. */
  readonly ringBytes: number;
  /** Encoded, and not yet in the ring. */
  readonly waitingBytes: number;
  /** How often the ring was found full, modulo 2^32. */
  readonly stalls: number;
};
