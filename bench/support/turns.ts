/**
 * How long the turns of this thread's event loop are: by the wall, and by the processor time that the
 * thread got. The first counts whatever else the machine did meanwhile, the second only what the
 * thread did itself.
 *
 * It looks once in each turn, in the check phase, and keeps the loop neither alive nor awake.
 */
import { createHistogram, performance, PerformanceObserver } from 'node:perf_hooks';
import { clockMs } from '../crowd/messages.ts';

export type Turn = {
  /** From one look to the next, by `clockMs`. */
  readonly fromMs: number;
  readonly toMs: number;
  /** For how much of that the loop had nothing to do. */
  readonly idleMs: number;
  /** For how much of that the collector stopped the thread. */
  readonly gcMs: number;
  readonly cpuMs: number;
};

export type TurnsReading = {
  readonly turns: number;
  readonly longestMs: number;
  /** By processor time, as `p99Ms`. */
  readonly longestCpuMs: number;
  readonly p99CpuMs: number;
  /** Of all time that the thread worked, the share that went into turns above 10 ms of processor time. */
  readonly longShare: number;
  /** All stops of the collector together, and the longest one. */
  readonly gcMs: number;
  readonly longestGcMs: number;
};

/** A turn of more processor time than this is long: the house's own bound. */
const LONG_MS = 10;
/** So many of the longest turns are kept. */
const KEPT = 20;
/** Stops of the collector below this are not told of a turn. */
const STOP_MS = 1;

export class Turns {
  #longest: Omit<Turn, 'gcMs'>[] = [];
  #stops: { readonly atMs: number; readonly ms: number }[] = [];
  /** Microseconds of processor time. */
  readonly #times = createHistogram();
  #longestMs = 0;
  #cpuMs = 0;
  #longCpuMs = 0;
  #gcMs = 0;
  #longestGcMs = 0;
  #last = { cpu: process.threadCpuUsage(), idleMs: 0, atMs: clockMs() };

  /** Begins to look. That costs each turn a little, so nothing does unless it is asked to. */
  watch(): void {
    const startMs = clockMs() - performance.now();
    const gc = new PerformanceObserver((list) => {
      for (const { startTime, duration } of list.getEntries()) {
        this.#gcMs += duration;
        this.#longestGcMs = Math.max(this.#longestGcMs, duration);
        if (duration >= STOP_MS) this.#stops.push({ atMs: startMs + startTime, ms: duration });
      }
    });
    gc.observe({ entryTypes: ['gc'] });
    this.#last = { ...this.#last, cpu: process.threadCpuUsage(), atMs: clockMs() };
    this.#watchNext();
  }

  #watchNext(): void {
    // One that is not referenced runs when a turn comes, and brings none about.
    setImmediate(() => {
      this.#look();
      this.#watchNext();
    }).unref();
  }

  #look(): void {
    const cpu = process.threadCpuUsage();
    const atMs = clockMs();
    const idledMs = performance.nodeTiming.idleTime;
    const last = this.#last;
    this.#last = { cpu, idleMs: idledMs, atMs };
    const cpuMs = (cpu.user + cpu.system - last.cpu.user - last.cpu.system) / 1000;
    const idleMs = idledMs - last.idleMs;
    const wallMs = atMs - last.atMs - idleMs;
    this.#times.record(Math.max(1, Math.round(cpuMs * 1000)));
    this.#cpuMs += cpuMs;
    this.#longestMs = Math.max(this.#longestMs, wallMs);
    if (cpuMs < LONG_MS) return;
    this.#longCpuMs += cpuMs;
    this.#keep({ fromMs: last.atMs, toMs: atMs, idleMs, cpuMs });
  }

  #keep(turn: Omit<Turn, 'gcMs'>): void {
    if (turn.cpuMs <= (this.#longest[KEPT - 1]?.cpuMs ?? 0)) return;
    this.#longest = [...this.#longest, turn].toSorted((a, b) => b.cpuMs - a.cpuMs).slice(0, KEPT);
  }

  /** The longest ones by processor time, the longest first. */
  get longest(): readonly Turn[] {
    return this.#longest.map((turn) => ({ ...turn, gcMs: this.#gcMsWithin(turn) }));
  }

  /** The observer hears of a stop in a later turn. */
  #gcMsWithin({ fromMs, toMs }: Omit<Turn, 'gcMs'>): number {
    const within = this.#stops.filter(({ atMs }) => atMs >= fromMs && atMs < toMs);
    return within.reduce((sum, { ms }) => sum + ms, 0);
  }

  read(): TurnsReading {
    return {
      turns: this.#times.count,
      longestMs: this.#longestMs,
      longestCpuMs: this.#times.max / 1000,
      p99CpuMs: this.#times.percentile(99) / 1000,
      longShare: this.#longCpuMs / Math.max(1, this.#cpuMs),
      gcMs: this.#gcMs,
      longestGcMs: this.#longestGcMs,
    };
  }

  /** Begins a new window. */
  reset(): void {
    this.#longest = [];
    this.#stops = [];
    this.#times.reset();
    this.#longestMs = 0;
    this.#cpuMs = 0;
    this.#longCpuMs = 0;
    this.#gcMs = 0;
    this.#longestGcMs = 0;
  }
}
