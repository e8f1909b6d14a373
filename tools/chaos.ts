/**
 * `npm run chaos -- --minutes 10 --seed N`: kills the leader of three managers under load every 20
 * seconds, then cuts managers off from each other and lets them stand still, and judges what clients
 * were told. Cuts need root, iptables and iproute2; `--rounds 0` leaves them out.
 *
 * With `--json` each fault and the report is a line of JSON.
 */
import { parseArgs } from 'node:util';
import { CUTS, PAUSES } from '../test/chaos/faults.ts';
import { chaosRun, type Report, type Told } from '../test/chaos/run.ts';
import { Undo } from '../test/support/undo.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now()) },
    minutes: { type: 'string', default: '10' },
    every: { type: 'string', default: '20' },
    workers: { type: 'string', default: '200' },
    /** How often each kind of cut and pause comes. */
    rounds: { type: 'string', default: '2' },
    json: { type: 'boolean', default: false },
  },
});

const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

/** The value that this share of all does not exceed. */
function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

function spread(numbers: readonly number[]): string {
  const sorted = numbers.toSorted((a, b) => a - b);
  const parts = [0.5, 0.99, 1].map((share) => seconds(quantile(sorted, share)));
  return `median ${parts[0]}, p99 ${parts[1]}, max ${parts[2]} (${sorted.length})`;
}

function printTold({ what, firstWriteMs, lastedMs, readyMs }: Told): void {
  console.log(
    `${what}, for ${seconds(lastedMs)}: first write after ${seconds(firstWriteMs)}, workers READY after ${seconds(readyMs)}`,
  );
}

function printReport(report: Report): void {
  for (const [name, phase] of Object.entries(report.phases)) {
    const { seconds: s, writes, reads, refused, lost, gapMs, gauges } = phase;
    console.log(
      `${name}: ${Math.round(s)} s, ${writes} writes (${(writes / s).toFixed(1)}/s), ${reads} reads, ` +
        `${refused} refused, ${lost} without an answer; longest time without a write ${seconds(gapMs)}; ` +
        `managers at its end: ${JSON.stringify(gauges)}`,
    );
  }
  for (const [name, faults] of [
    ['kills', report.kills],
    ['faults', report.faults],
  ] as const) {
    if (faults.length === 0) continue;
    console.log(`${name}: first write: ${spread(faults.map((fault) => fault.firstWriteMs))}`);
    console.log(`${name}: workers READY: ${spread(faults.map((fault) => fault.readyMs))}`);
  }
  const { operations, cells, taskLooks, serviceChanges } = report;
  console.log(
    `${operations} operations judged, ${cells} cells at the end, ${taskLooks} looks at all tasks, ` +
      `${serviceChanges} services scaled or updated`,
  );
  for (const [text, count] of Object.entries(report.failures)) console.log(`${count} x ${text}`);
  for (const text of report.wrong) console.log(`WRONG: ${text}`);
  console.log(`seed ${report.seed}: ${report.wrong.length === 0 ? 'ok' : 'FAILED'}`);
}

const everyMs = Number(values.every) * 1000;
const names = [...Object.keys(CUTS), ...Object.keys(PAUSES)];
using undo = new Undo();
console.log(values.json ? JSON.stringify({ seed: values.seed }) : `seed ${values.seed}`);
const report = await chaosRun({
  undo,
  seed: BigInt(values.seed),
  workers: Number(values.workers),
  kills: Math.round((Number(values.minutes) * 60_000) / everyMs),
  killEveryMs: everyMs,
  faults: Array.from({ length: Number(values.rounds) }, () => names).flat(),
  faultMs: { min: 5000, max: 12_000 },
  onTold: (told) => (values.json ? console.log(JSON.stringify(told)) : printTold(told)),
});
if (values.json) console.log(JSON.stringify(report));
else printReport(report);
if (report.wrong.length > 0) process.exitCode = 1;
