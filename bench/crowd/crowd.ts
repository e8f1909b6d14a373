/** A crowd of simulated workers in processes of their own, as its owner sees it. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { ProcessStat } from '../support/process-stat.ts';
import {
  clockMs,
  type Counts,
  type FromCrowd,
  type Membership,
  type ReportMode,
  type ToCrowd,
} from './messages.ts';

const MAIN = fileURLToPath(new URL('./main.ts', import.meta.url));
const JOIN_TIMEOUT_MS = 300_000;

export type CrowdOptions = {
  /** `host:port` of the manager. */
  readonly address: string;
  readonly membership: Membership;
  readonly workers: number;
  readonly processes?: number;
  readonly report: ReportMode;
  /** Whether a worker opens another session when one ends; otherwise that is a failure. */
  readonly returns?: boolean;
};

const NOTHING: Counts = {
  assigned: 0,
  running: 0,
  ended: 0,
  removed: 0,
  calls: 0,
  tried: 0,
  opened: 0,
  sessions: 0,
  held: 0,
};

/** One process of the crowd. */
class Part {
  readonly process: ChildProcess;
  counts: Counts = NOTHING;
  #onCounts: () => void;
  #waiting: PromiseWithResolvers<FromCrowd> | undefined;
  #failure: Error | undefined;

  constructor(onCounts: () => void) {
    this.#onCounts = onCounts;
    this.process = fork(MAIN, [], { serialization: 'advanced', stdio: 'inherit', execArgv: [] });
    this.process.on('message', (message: FromCrowd) => this.#hear(message));
    this.process.on('exit', (code) =>
      this.#fail(new Error(`a crowd's process ended with ${code}`)),
    );
  }

  #hear(message: FromCrowd): void {
    if (message.t === 'counts') {
      this.counts = message.counts;
      this.#onCounts();
    } else if (message.t === 'failed') this.#fail(new Error(message.text));
    else this.#waiting?.resolve(message);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#waiting?.reject(this.#failure);
    this.#onCounts();
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async ask(order: ToCrowd): Promise<FromCrowd> {
    this.check();
    const waiting = Promise.withResolvers<FromCrowd>();
    this.#waiting = waiting;
    this.process.send(order);
    return await waiting.promise;
  }
}

export class Crowd implements AsyncDisposable {
  readonly #parts: readonly Part[];
  #wake: (() => void) | undefined;

  private constructor(processes: number) {
    this.#parts = Array.from({ length: processes }, () => new Part(() => this.#wake?.()));
  }

  /** Resolves when all workers are registered. */
  static async join(options: CrowdOptions): Promise<Crowd> {
    const { address, membership, workers, processes = 1, report, returns = false } = options;
    const crowd = new Crowd(processes);
    try {
      const share = (i: number): number =>
        Math.floor(((i + 1) * workers) / processes) - Math.floor((i * workers) / processes);
      await crowd.#each((i) => {
        const prefix = `crowd${i}-`;
        return { t: 'join', address, membership, prefix, count: share(i), report, returns };
      }, JOIN_TIMEOUT_MS);
      return crowd;
    } catch (error) {
      await crowd[Symbol.asyncDispose]();
      throw error;
    }
  }

  async #each(order: (part: number) => ToCrowd, timeoutMs = 10_000): Promise<FromCrowd[]> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error('the crowd does not answer')), timeoutMs);
    try {
      const answers = this.#parts.map((part, i) => part.ask(order(i)));
      return await Promise.race([Promise.all(answers), late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  get counts(): Counts {
    const sum = (of: (counts: Counts) => number): number =>
      this.#parts.reduce((total, { counts }) => total + of(counts), 0);
    return {
      assigned: sum((c) => c.assigned),
      running: sum((c) => c.running),
      ended: sum((c) => c.ended),
      removed: sum((c) => c.removed),
      calls: sum((c) => c.calls),
      tried: sum((c) => c.tried),
      opened: sum((c) => c.opened),
      sessions: sum((c) => c.sessions),
      held: sum((c) => c.held),
    };
  }

  /** Counts from zero. Returns now, by `clockMs`. */
  async reset(): Promise<number> {
    const atMs = clockMs();
    await this.#each(() => ({ t: 'reset' }));
    for (const part of this.#parts) {
      const { held, sessions } = part.counts;
      part.counts = { ...NOTHING, held, sessions };
    }
    return atMs;
  }

  /** Milliseconds of each heartbeat since the reset, shortest first. */
  async beatsMs(): Promise<Float64Array> {
    const answers = await this.#each(() => ({ t: 'beats' }));
    return Float64Array.from(answers.flatMap((a) => (a.t === 'beats' ? [...a.ms] : []))).toSorted();
  }

  async report(report: ReportMode): Promise<void> {
    await this.#each(() => ({ t: 'report', report }));
  }

  /** Cuts off so many workers, of all processes alike. */
  async lose(count: number): Promise<void> {
    const all = this.#parts.length;
    await this.#each((i) => ({ t: 'lose', count: Math.floor((count + i) / all) }));
  }

  async fail(count: number): Promise<void> {
    const all = this.#parts.length;
    await this.#each((i) => ({ t: 'fail', count: Math.floor((count + i) / all) }));
  }

  /** Resolves, with the time by `clockMs`, once the counts are as wanted. */
  async until(what: string, timeoutMs: number, done: (counts: Counts) => boolean): Promise<number> {
    const deadline = clockMs() + timeoutMs;
    for (;;) {
      for (const part of this.#parts) part.check();
      if (done(this.counts)) return clockMs();
      const leftMs = deadline - clockMs();
      if (leftMs <= 0) throw new Error(`not in time: ${what}; ${JSON.stringify(this.counts)}`);
      await this.#news(leftMs);
    }
  }

  async #news(timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    const timer = setTimeout(resolve, timeoutMs);
    await promise;
    clearTimeout(timer);
  }

  /** CPU time of all processes so far, in seconds. */
  cpuSeconds(): number {
    return this.#sum((stat) => stat.cpuSeconds());
  }

  /** The largest resident size of each process so far, all together. */
  peakBytes(): number {
    return this.#sum((stat) => stat.peakBytes());
  }

  #sum(of: (stat: ProcessStat) => number): number {
    return this.#parts.reduce((sum, { process }) => sum + of(new ProcessStat(process.pid)), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(
      this.#parts.map(async ({ process }) => {
        if (process.exitCode !== null || process.signalCode !== null) return;
        process.removeAllListeners('exit');
        const ended = once(process, 'exit');
        if (process.connected) process.send({ t: 'leave' } satisfies ToCrowd);
        const timer = setTimeout(() => process.kill('SIGKILL'), 5000);
        await ended;
        clearTimeout(timer);
      }),
    );
  }
}
