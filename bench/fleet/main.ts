/**
 * Many simulated workers in one process:
 * `node bench/fleet/main.ts --address HOST:PORT --token TOKEN --count 200 [--report each]`.
 * Prints `ready` when all have registered, and ends on SIGTERM or when its standard input ends.
 */
import { parseArgs } from 'node:util';
import { startWorker, type FleetWorker } from './worker.ts';

const { values } = parseArgs({
  options: {
    address: { type: 'string' },
    token: { type: 'string' },
    count: { type: 'string', default: '10' },
    report: { type: 'string', default: 'last' },
    prefix: { type: 'string', default: 'sim' },
  },
});
const { address = '', token = '', prefix } = values;
const report = values.report === 'each' ? 'each' : 'last';

/** Joins at the same time: more would only queue for the manager's handshakes. */
const JOINS_AT_ONCE = 10;

const workers: FleetWorker[] = [];
const numbers = Array.from({ length: Number(values.count) }, (_, i) => i).values();
async function join(): Promise<void> {
  for (const i of numbers) {
    workers.push(await startWorker({ address, token, hostname: `${prefix}-${i}`, report }));
  }
}
await Promise.all(Array.from({ length: JOINS_AT_ONCE }, join));
process.stdout.write('ready\n');

const { promise: ended, resolve: end } = Promise.withResolvers<void>();
process.on('SIGTERM', () => end());
process.stdin.on('end', () => end()).resume();
await ended;
await Promise.all(workers.map((worker) => worker.stop()));
process.stdin.destroy();
