import assert from 'node:assert/strict';
import {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  writeSync,
  closeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import type { LogOptions } from '../executor.ts';
import { Journal } from './journal.ts';
import { Output } from './output.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'skein-output-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const ALL: LogOptions = { follow: false, tail: 'all', sinceMs: 0, stdout: true, stderr: true };

async function read(journal: Journal, options: Partial<LogOptions> = {}): Promise<string[]> {
  const lines: string[] = [];
  const signal = AbortSignal.timeout(10_000);
  for await (const { data } of journal.read({ ...ALL, ...options }, signal)) {
    lines.push(Buffer.from(data).toString());
  }
  return lines;
}

const bytes = (...texts: string[]): Buffer[] => texts.map((text) => Buffer.from(text));

test('[PRC6] a log keeps to its size: the oldest lines go', async () => {
  const journal = new Journal(directory, 10_000);
  for (let index = 0; index < 1_000; index += 1) {
    journal.append('stdout', bytes(`line ${index}`), 1_000_000);
  }
  const sizes = readdirSync(directory).map((name) => statSync(join(directory, name)).size);
  assert.ok(Math.max(...sizes) < 11_000, String(sizes));
  const lines = await read(journal);
  assert.ok(lines.length > 200 && lines.length < 700);
  assert.equal(lines.at(-1), 'line 999');
  assert.deepEqual(await read(journal, { tail: 2 }), ['line 998', 'line 999']);
});

test('[PRC6] [EXE9] who follows misses nothing when files are exchanged', async () => {
  const journal = new Journal(directory, 2_000);
  journal.append('stdout', bytes('before'), 1_000_000);
  const reading = read(journal, { follow: true });
  for (let index = 0; index < 300; index += 1) {
    journal.append(index % 2 === 0 ? 'stdout' : 'stderr', bytes(`${index}`), 2_000_000);
    if (index % 10 === 0) await new Promise(setImmediate);
  }
  journal.finish();
  assert.deepEqual(await reading, ['before', ...Array.from({ length: 300 }, (_, at) => `${at}`)]);
});

test('[EXE9] streams, times and tails are as asked', async () => {
  const journal = new Journal(directory);
  journal.append('stdout', bytes('a', 'b'), 1_000);
  journal.append('stderr', bytes('c'), 2_000);
  assert.deepEqual(await read(journal, { stdout: false }), ['c']);
  assert.deepEqual(await read(journal, { sinceMs: 1_500 }), ['c']);
  assert.deepEqual(await read(journal, { tail: 0 }), []);
  assert.deepEqual(await read(new Journal(directory), { tail: 2 }), ['b', 'c']);
});

test('[PRC6] output is taken once, in lines, by whatever worker', async () => {
  const journal = new Journal(directory);
  const output = new Output(directory, journal);
  const [stdout, stderr] = output.open();
  writeSync(stdout, 'one\ntwo\nthr');
  writeSync(stderr, 'bad\n');
  output.collect();
  const following = journal.read({ ...ALL, follow: true }, AbortSignal.timeout(10_000));
  const first = [];
  for await (const { data } of following) {
    first.push(Buffer.from(data).toString());
    if (first.length === 3) break;
  }
  assert.deepEqual(first.toSorted(), ['bad', 'one', 'two']);
  output.stop();
  writeSync(stdout, 'ee\nfour');
  const successor = new Journal(directory);
  new Output(directory, successor).finish();
  closeSync(stdout);
  closeSync(stderr);
  assert.deepEqual((await read(successor)).toSorted(), ['bad', 'four', 'one', 'three', 'two']);
});

test('[PRC6] what was read is cut, and too much is left out and said', async () => {
  const journal = new Journal(directory, 1 << 30);
  const output = new Output(directory, journal);
  const files = output.open();
  const raw = join(directory, 'output', 'stdout');
  const line = `${'x'.repeat(99)}\n`;
  appendFileSync(raw, line.repeat(20_000));
  output.finish();
  assert.equal(statSync(raw).size, 0);
  assert.equal((await read(journal)).length, 20_000);
  appendFileSync(raw, line.repeat(200_000));
  output.finish();
  for (const file of files) closeSync(file);
  const lines = await read(journal);
  assert.ok(lines.length < 200_000, String(lines.length));
  assert.ok(lines.some((text) => /^\[skein: \d+ bytes of output were left out\]$/.test(text)));
});

test('[PRC6] a line without end is told in pieces', async () => {
  const journal = new Journal(directory);
  const output = new Output(directory, journal);
  const files = output.open();
  writeSync(files[0], 'y'.repeat(40_000));
  output.finish();
  for (const file of files) closeSync(file);
  assert.deepEqual(
    (await read(journal)).map((text) => text.length),
    [16_384, 16_384, 7_232],
  );
});
