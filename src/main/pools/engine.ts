/**
 * The main side of an engine: its threads, each with a lane.
 *
 * How an engine's owner uses it (the thread's side is src/shared/lanes/serve.ts):
 *
 * ```ts
 * const engine = new Engine<ToPlacement, FromPlacement>({
 *   name: 'placement', entry: workerEntry('placement'), threads: 1, log,
 *   onStart: (lane, { index, generation }) => resync(lane),   // a snapshot from the store
 *   onMessages: (messages, lane, place) => apply(messages),   // decisions, checked by the store
 * });
 * await engine.start();
 * engine.lane(0)?.send({ kind: 'place', ... });
 * await engine.stop();
 * ```
 *
 * A thread that dies (crash, out of memory, killed) is replaced. What it had published is still
 * handed to `onMessages`; what it had in hand is gone, its lane is dropped, and `onStart` is called
 * with a new, empty lane: that is where the owner sends everything the new thread must know and asks
 * again for whatever was not answered. An owner therefore keeps no state in a lane.
 */
import assert from 'node:assert/strict';
import type { Lane } from '../../shared/lanes/lane.ts';
import type { EngineOptions } from './engine-options.ts';
import { Seat, type SeatStats } from './seat.ts';

/** How long `stop` waits for a thread to finish what it was sent. */
const STOP_DEADLINE_MS = 5_000;

export class Engine<Out, In> implements AsyncDisposable {
  readonly #seats: readonly Seat<Out, In>[];

  constructor(options: EngineOptions<Out, In>) {
    assert(Number.isInteger(options.threads) && options.threads > 0, 'an engine has threads');
    this.#seats = Array.from({ length: options.threads }, (_, index) => new Seat(options, index));
  }

  /** Starts all threads; resolves when each has opened its lane. A failed start undoes itself. */
  async start(): Promise<void> {
    const started = await Promise.allSettled(this.#seats.map((seat) => seat.start()));
    const failed = started.find((outcome) => outcome.status === 'rejected');
    if (failed === undefined) return;
    await this.stop();
    throw failed.reason;
  }

  /** The lane of a thread; undefined while its place is being filled again. */
  lane(index: number): Lane<Out, In> | undefined {
    return this.#seat(index).lane;
  }

  /** Counters of every thread's lane. */
  stats(): readonly SeatStats[] {
    return this.#seats.map((seat) => seat.stats);
  }

  /** Terminates a thread as it stands, as a crash would: for tests. Resolves when it is gone. */
  async kill(index: number): Promise<void> {
    await this.#seat(index).kill();
  }

  /**
   * Ends all lanes; the threads finish what they were sent and their answers are handled. A thread
   * that takes longer than the deadline is terminated.
   */
  async stop(deadlineMs: number = STOP_DEADLINE_MS): Promise<void> {
    await Promise.all(this.#seats.map((seat) => seat.stop(deadlineMs)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #seat(index: number): Seat<Out, In> {
    const seat = this.#seats[index];
    assert(seat !== undefined, `no thread ${index}`);
    return seat;
  }
}
