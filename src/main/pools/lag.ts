/**
 * How long the main thread's turns are: the event loop's lateness, for the metrics.
 *
 * A native timer of `resolutionMs` notes by how much it fired late. A turn is at least as long as
 * the lateness it caused and at most one resolution longer. (Node's sampling per iteration is exact
 * but leaves out the callbacks of the poll phase, which is where sockets and lanes are served.)
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Lateness of the event loop in milliseconds since the last `reset`; zeros before a first sample. */
export type LagReading = {
  readonly samples: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** The longest turn was this long, or up to `resolutionMs` longer. */
  readonly longestMs: number;
  readonly resolutionMs: number;
};

const NANOSECONDS_PER_MS = 1_000_000;

export class LagMeter implements Disposable {
  readonly #resolutionMs: number;
  readonly #histogram: ReturnType<typeof monitorEventLoopDelay>;

  /** Starts measuring this thread. @param resolutionMs whole milliseconds, 1 or more */
  constructor(resolutionMs = 5) {
    this.#resolutionMs = resolutionMs;
    this.#histogram = monitorEventLoopDelay({ resolution: resolutionMs });
    this.#histogram.enable();
  }

  read(): LagReading {
    const { count: samples } = this.#histogram;
    return {
      samples,
      p50Ms: samples === 0 ? 0 : this.#lateMs(this.#histogram.percentile(50)),
      p99Ms: samples === 0 ? 0 : this.#lateMs(this.#histogram.percentile(99)),
      longestMs: samples === 0 ? 0 : this.#lateMs(this.#histogram.max),
      resolutionMs: this.#resolutionMs,
    };
  }

  /** Begins a new window. */
  reset(): void {
    this.#histogram.reset();
  }

  [Symbol.dispose](): void {
    this.#histogram.disable();
  }

  #lateMs(intervalNanoseconds: number): number {
    return Math.max(0, intervalNanoseconds / NANOSECONDS_PER_MS - this.#resolutionMs);
  }
}
