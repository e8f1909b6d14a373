/** Calls that take microseconds, timed one by one with tinybench. */
import { Bench } from 'tinybench';
import type { Session } from './bench.ts';

const FIGURES = ['p50', 'mean', 'p99'] as const;

/**
 * Times every call over and over, in turn, round by round; records how long one took. The median of
 * the calls is that of an undisturbed one; their mean holds what the collector takes too.
 *
 * @param calls by name; each must have been checked before
 */
export async function micro(
  session: Session,
  scenario: string,
  calls: Readonly<Record<string, () => unknown>>,
): Promise<void> {
  const { rounds, time } = session.pick({
    tiny: { rounds: 1, time: 5 },
    short: { rounds: 10, time: 50 },
    full: { rounds: 20, time: 100 },
  });
  const samples = new Map<string, number[]>();
  for (let round = 0; round < rounds; round += 1) {
    const bench = new Bench({
      time,
      warmup: round === 0,
      warmupTime: time,
      throws: true,
      subtractTimerOverhead: true,
    });
    for (const [name, call] of Object.entries(calls)) bench.add(name, call);
    for (const { name, result } of await bench.run()) {
      if (!('latency' in result)) throw new Error(`${scenario}: ${name} was not measured`);
      for (const figure of FIGURES) {
        const key = `${name} ${figure}`;
        samples.set(key, [...(samples.get(key) ?? []), result.latency[figure] * 1000]);
      }
    }
  }
  for (const side of Object.keys(calls)) {
    for (const metric of FIGURES) {
      const label = { scenario, side, metric, unit: 'us', better: 'less' } as const;
      session.record(label, samples.get(`${side} ${metric}`) ?? []);
    }
  }
}
