/** What the rounds of one scenario cost: processor time, and the longest turn of the event loop. */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Label, Session } from '../kit/bench.ts';

/** What the rounds of one scenario measured, by name. */
export class Figures {
  readonly #scenario: string;
  readonly #bySide = new Map<string, { readonly label: Label; readonly samples: number[] }>();

  constructor(scenario: string) {
    this.#scenario = scenario;
  }

  add(side: string, figure: Pick<Label, 'metric' | 'unit' | 'goal'>, of: number): void {
    const key = `${side} ${figure.metric}`;
    const label: Label = { scenario: this.#scenario, side, better: 'less', ...figure };
    const known = this.#bySide.get(key) ?? { label, samples: [] as number[] };
    known.samples.push(of);
    this.#bySide.set(key, known);
  }

  /**
   * Runs pieces of work, a turn of the event loop each; notes the processor time of all, for each
   * thing, and of the longest. On a busy machine wall time says more about the neighbours.
   */
  async measure(side: string, count: number, pieces: Iterable<() => void>): Promise<void> {
    let busyMs = 0;
    let longestMs = 0;
    for (const piece of pieces) {
      const cpu = process.threadCpuUsage();
      piece();
      const used = process.threadCpuUsage(cpu);
      const cpuMs = (used.user + used.system) / 1000;
      busyMs += cpuMs;
      longestMs = Math.max(longestMs, cpuMs);
      await nextTurn();
    }
    this.add(side, { metric: 'cpu', unit: 'us each' }, (busyMs * 1000) / count);
    this.add(side, { metric: 'turn', unit: 'ms at most' }, longestMs);
  }

  /** Notes the processor time of so many calls, which are no turn of the event loop. */
  calls(side: string, count: number, run: () => void): void {
    const cpu = process.threadCpuUsage();
    run();
    const used = process.threadCpuUsage(cpu);
    this.add(side, { metric: 'cpu', unit: 'us each' }, (used.user + used.system) / count);
  }

  /** As `measure`, of work that asks `defer` for each of its turns; it begins in this one. */
  async measureTurns(
    side: string,
    count: number,
    work: (defer: (run: () => void) => void) => Promise<void>,
  ): Promise<void> {
    let busyMs = 0;
    let longestMs = 0;
    let cpu = process.threadCpuUsage();
    const note = (): void => {
      const used = process.threadCpuUsage(cpu);
      const cpuMs = (used.user + used.system) / 1000;
      busyMs += cpuMs;
      longestMs = Math.max(longestMs, cpuMs);
    };
    await work((run) => {
      note();
      setImmediate(() => {
        cpu = process.threadCpuUsage();
        run();
      });
    });
    note();
    this.add(side, { metric: 'cpu', unit: 'us each' }, (busyMs * 1000) / count);
    this.add(side, { metric: 'turn', unit: 'ms at most' }, longestMs);
  }

  tell(session: Session): void {
    for (const { label, samples } of this.#bySide.values()) session.record(label, samples);
  }
}
