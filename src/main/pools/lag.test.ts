import assert from 'node:assert/strict';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { readFile } from 'node:fs';
import { test } from 'node:test';
import { LagMeter } from './lag.ts';

function burn(ms: number): void {
  const startMs = performance.now();
  while (performance.now() - startMs < ms);
}

async function samplesAfter(meter: LagMeter, count: number): Promise<void> {
  while (meter.read().samples < count) await nextTurn();
}

test('a long turn of the poll phase is seen, and forgotten by a reset', async () => {
  using meter = new LagMeter(2);
  assert.equal(meter.read().longestMs, 0);
  await samplesAfter(meter, 2);
  await new Promise<void>((resolve) => {
    readFile(import.meta.filename, () => {
      burn(60);
      resolve();
    });
  });
  await samplesAfter(meter, meter.read().samples + 2);
  const reading = meter.read();
  assert.ok(reading.longestMs >= 55, `a turn of 60 ms was read as ${reading.longestMs} ms`);
  assert.ok(reading.p50Ms <= reading.p99Ms && reading.p99Ms <= reading.longestMs);

  meter.reset();
  assert.deepEqual(meter.read(), {
    samples: 0,
    p50Ms: 0,
    p99Ms: 0,
    longestMs: 0,
    resolutionMs: 2,
  });
});
