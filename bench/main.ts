/**
 * The bench suite:
 *
 *     npm run bench                          all, short, with a report
 *     npm run bench -- --full                all, in full, with a report
 *     npm run bench -- NAME [ARGS] [--full]  one; `--tiny` only checks that it runs
 *     npm run bench -- list
 *     npm run bench -- report FILE           a Markdown page with all goals and plots from JSON lines
 *
 * `--json FILE` appends what was measured as JSON lines; `--out DIR` is where a report goes. Each
 * benchmark runs in a process of its own, so none finds another's memory.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import type { Size } from './kit/bench.ts';
import { readLines, type Line } from './kit/lines.ts';
import { BENCHES } from './kit/list.ts';
import { report } from './kit/report.ts';
import { openSession } from './kit/session.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    full: { type: 'boolean', default: false },
    tiny: { type: 'boolean', default: false },
    json: { type: 'string' },
    out: { type: 'string', default: 'bench-results' },
    /** This process is to run the benchmark itself. */
    here: { type: 'boolean', default: false },
  },
});
const size: Size = values.tiny ? 'tiny' : values.full ? 'full' : 'short';
const [name, ...args] = positionals;

async function list(): Promise<number> {
  for (const [bench, load] of Object.entries(BENCHES)) {
    process.stdout.write(`${bench.padEnd(10)} ${(await load()).bench.about}\n`);
  }
  return 0;
}

async function runHere(bench: string): Promise<number> {
  const load = BENCHES[bench];
  if (load === undefined) throw new Error(`no such benchmark: ${bench}`);
  const session = openSession({ bench, size, args, json: values.json });
  await (await load()).bench.run(session);
  return 0;
}

async function runApart(bench: string, json: string | undefined): Promise<number> {
  process.stdout.write(`== ${bench}, ${size}\n`);
  const options = size === 'short' ? [] : [`--${size}`];
  const to = json === undefined ? [] : ['--json', json];
  const file = fileURLToPath(import.meta.url);
  const command = ['--expose-gc', file, '--here', ...options, ...to, '--', bench, ...args];
  const env = { ...process.env, ...(await BENCHES[bench]?.())?.bench.environment };
  const { status } = spawnSync(process.execPath, command, { stdio: 'inherit', env });
  return status ?? 1;
}

/** One that fails leaves what it had measured, and the others go on. */
async function runAll(): Promise<number> {
  mkdirSync(values.out, { recursive: true });
  const json = values.json ?? join(values.out, 'results.jsonl');
  rmSync(json, { force: true });
  const startMs = performance.now();
  const names = Object.keys(BENCHES);
  let failures = 0;
  for (const [index, bench] of names.entries()) {
    const fromMs = performance.now();
    const minutes = ((fromMs - startMs) / 60_000).toFixed(1);
    process.stdout.write(`[${index + 1} of ${names.length}, after ${minutes} minutes] `);
    const failed = (await runApart(bench, json)) !== 0;
    const seconds = (performance.now() - fromMs) / 1000;
    appendFileSync(
      json,
      `${JSON.stringify({ t: 'end', bench, failed, seconds } satisfies Line)}\n`,
    );
    if (!failed) continue;
    failures += 1;
    process.stderr.write(`${bench} failed\n`);
  }
  return writeReport(json) || Math.min(1, failures);
}

function writeReport(json: string): number {
  mkdirSync(values.out, { recursive: true });
  for (const [file, text] of report(readLines(json))) writeFileSync(join(values.out, file), text);
  process.stdout.write(`${join(values.out, 'report.md')} is written\n`);
  return 0;
}

async function main(): Promise<number> {
  if (name === undefined) return runAll();
  if (values.here) return runHere(name);
  if (name === 'list') return list();
  if (name === 'report') return writeReport(args[0] ?? join(values.out, 'results.jsonl'));
  if (name in BENCHES) return runApart(name, values.json);
  process.stderr.write(`no such benchmark: ${name}; see "npm run bench -- list"\n`);
  return 2;
}

process.exitCode = await main();
