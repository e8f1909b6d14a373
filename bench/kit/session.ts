/** The session of one benchmark: runs its sides in turn, prints what came out and writes it down. */
import { appendFileSync } from 'node:fs';
import type { Comparison, Goal, Label, Session, Side, Size } from './bench.ts';
import { figure, goalText, keeps, type Line } from './lines.ts';
import { commit, machine, watchMachine } from './machine.ts';
import { short } from './stats.ts';

export type SessionOptions = {
  readonly bench: string;
  readonly size: Size;
  readonly args: readonly string[];
  /** Where JSON lines are appended, if anywhere. */
  readonly json: string | undefined;
};

/** The kernel counts a thread's time in steps of some milliseconds: less than this says nothing. */
const CPU_MIN_MS = 20;

/** Things a second, round by round. */
type Rates = { readonly wall: number[]; readonly cpu: number[]; readonly process: number[] };

function note(text: string): void {
  process.stdout.write(`${text}\n`);
}

export function openSession({ bench, size, args, json }: SessionOptions): Session {
  const write = (line: Line): void => {
    if (json !== undefined) appendFileSync(json, `${JSON.stringify(line)}\n`);
  };
  let sinceLast = watchMachine();
  const record = (label: Label, samples: readonly number[], others?: number): void => {
    const line = figure(bench, label, samples, others ?? sinceLast.othersCores());
    sinceLast = watchMachine();
    write(line);
    const goal = line.goal === undefined ? '' : `  goal ${goalText(line.goal, short)}`;
    const missed = keeps(line) === false ? ' MISSED' : '';
    const noise = line.othersCores === null ? '' : `  others ${line.othersCores.toFixed(2)} cores`;
    const range = `${short(line.median)} (${short(line.min)} to ${short(line.max)}) ${label.unit}`;
    process.stdout.write(
      `  ${label.side.padEnd(18)} ${label.metric.padEnd(8)} ${range}${noise}${goal}${missed}\n`,
    );
  };
  write({ t: 'run', bench, size, at: new Date().toISOString(), commit: commit(), ...machine() });
  let lastScenario = '';
  const open = (scenario: string): void => {
    if (scenario !== lastScenario) note(scenario);
    lastScenario = scenario;
  };
  return {
    size,
    args,
    pick: (bySize) => bySize[size],
    note,
    record: (label, samples) => {
      open(label.scenario);
      record(label, samples);
    },
    compare: async (comparison, sides) => {
      open(comparison.scenario);
      const watch = watchMachine();
      const rates = await runAll(comparison, sides);
      const others = watch.othersCores();
      for (const [index, { name, goal }] of sides.entries()) {
        const { wall = [], cpu = [], process: all = [] } = rates[index] ?? {};
        record(labelOf(comparison, name, { metric: 'wall', goal: undefined }), wall, others);
        if (comparison.countsCpu === false || cpu.length === 0) continue;
        record(labelOf(comparison, name, { metric: 'cpu', goal }), cpu, others);
        record(labelOf(comparison, name, { metric: 'process', goal: undefined }), all, others);
      }
    },
  };
}

function labelOf(
  { scenario, things }: Comparison,
  name: string,
  { metric, goal }: { readonly metric: string; readonly goal: Goal | undefined },
): Label {
  return { scenario, side: name, metric, unit: `${things}/s`, better: 'more', goal };
}

async function runAll({ rounds }: Comparison, sides: readonly Side[]): Promise<Rates[]> {
  const rates = sides.map((): Rates => ({ wall: [], cpu: [], process: [] }));
  for (let round = -1; round < rounds; round++) {
    for (const [index, each] of sides.entries()) {
      const { things, wallMs, cpuMs, processMs } = await runOne(each);
      if (round < 0) continue;
      rates[index]?.wall.push((things / wallMs) * 1000);
      if (cpuMs < CPU_MIN_MS) continue;
      rates[index]?.cpu.push((things / cpuMs) * 1000);
      rates[index]?.process.push((things / processMs) * 1000);
    }
  }
  return rates;
}

type Timed = {
  readonly things: number;
  readonly wallMs: number;
  /** Of this thread. */
  readonly cpuMs: number;
  /** Of all threads: the collector's and the compiler's too. */
  readonly processMs: number;
};

async function runOne({ prepare }: Side): Promise<Timed> {
  const run = await prepare();
  globalThis.gc?.();
  const startMs = performance.now();
  const own = process.cpuUsage();
  const cpu = process.threadCpuUsage();
  const things = await run();
  const used = process.threadCpuUsage(cpu);
  const wallMs = performance.now() - startMs;
  const all = process.cpuUsage(own);
  const cpuMs = (used.user + used.system) / 1000;
  return { things, wallMs, cpuMs, processMs: (all.user + all.system) / 1000 };
}
