/**
 * Lanes beside postMessage: records a second to a thread, and round trips with one in flight.
 *
 * Both sides carry the same objects; the count that comes back is checked before a time is printed.
 * Run with `node bench/lanes.ts`; compare ratios, the machine is never quiet.
 */
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { Engine } from '../src/main/pools/engine.ts';
import type { FromBench, ToBench } from './lanes-thread.ts';

const ROUNDS = 5;

/** A way to a thread: sends a batch in one turn, and hears its answers. */
type Way = {
  readonly send: (messages: readonly ToBench[]) => Promise<void>;
  /** Sends one message and waits for its answer. */
  readonly ask: (message: ToBench) => Promise<FromBench>;
  readonly close: () => Promise<void>;
};

/** About what a task looks like on a boundary that carries whole ones: some 320 bytes packed. */
function taskRecord(id: number): unknown {
  return {
    id: `task-${id}`,
    serviceId: 'service-0123456789abcdefghijk',
    nodeId: 'node-0123456789abcdefghijklmn',
    slot: id,
    desiredState: 512,
    status: { state: 512, timestampMs: 1_700_000_000_000 + id, message: 'started', error: '' },
    spec: {
      image: 'registry.example.org/team/application:1.2.3',
      command: ['/usr/bin/server', '--listen', ':8080'],
      env: ['A=1', 'LOG_LEVEL=info', 'REGION=north'],
      labels: new Map([['tier', 'web']]),
      resources: { nanoCpus: 500_000_000, memoryBytes: 268_435_456 },
    },
    networks: [{ networkId: 'network-0123456789', addresses: ['10.0.1.17/24'] }],
  };
}

function compactRecord(id: number): unknown {
  return [id, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, true, null, id * 2];
}

async function openLane(): Promise<Way> {
  let heard: ((message: FromBench) => void) | undefined;
  const engine = new Engine<ToBench, FromBench>({
    name: 'bench',
    entry: new URL('./lanes-thread.ts', import.meta.url),
    threads: 1,
    log: { warn: (fields, text) => assert.fail(`${text} ${JSON.stringify(fields)}`) },
    onStart: () => undefined,
    onMessages: (messages) => messages.forEach((message) => heard?.(message)),
  });
  await engine.start();
  const lane = engine.lane(0);
  assert(lane !== undefined);
  return {
    send: async (messages) => {
      for (const message of messages) lane.send(message);
      // The end of the turn; and the back-pressure that a producer owes.
      await Promise.resolve();
      if (lane.full) await lane.ready();
    },
    ask: (message) =>
      new Promise((resolve) => {
        heard = resolve;
        lane.send(message);
      }),
    close: () => engine.stop(),
  };
}

async function openPort(): Promise<Way> {
  const entry = new URL('./lanes-thread.ts', import.meta.url).href;
  const worker = new Worker(`import(${JSON.stringify(entry)}).then((m) => m.runPort())`, {
    eval: true,
  });
  let heard: ((message: FromBench) => void) | undefined;
  worker.on('message', (messages: readonly FromBench[]) => {
    for (const message of messages) heard?.(message);
  });
  return {
    send: async (messages) => worker.postMessage(messages),
    ask: (message) =>
      new Promise((resolve) => {
        heard = resolve;
        worker.postMessage([message]);
      }),
    close: async () => {
      await worker.terminate();
    },
  };
}

async function throughput(way: Way, batches: readonly (readonly ToBench[])[]): Promise<number> {
  const records = batches.reduce((sum, batch) => sum + batch.length, 0);
  const startMs = performance.now();
  for (const batch of batches) await way.send(batch);
  const answer = await way.ask({ kind: 'count' });
  const elapsedMs = performance.now() - startMs;
  assert.deepEqual(answer, { kind: 'count', count: records });
  return (records / elapsedMs) * 1000;
}

async function roundTrips(way: Way, count: number): Promise<number[]> {
  const microseconds: number[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    assert.deepEqual(await way.ask({ kind: 'ping' }), { kind: 'pong' });
    microseconds.push((performance.now() - startMs) * 1000);
  }
  return microseconds.toSorted((a, b) => a - b);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

/** Rates of all ways over the same batches, alternating so that the machine's moods hit both. */
async function compare(
  ways: Readonly<Record<string, Way>>,
  batches: readonly (readonly ToBench[])[],
): Promise<string> {
  const rates = new Map<string, number[]>();
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, way] of Object.entries(ways)) {
      rates.set(name, [...(rates.get(name) ?? []), await throughput(way, batches)]);
    }
  }
  return [...rates].map(([name, all]) => `${name} ${Math.round(median(all) / 1000)}k/s`).join(', ');
}

const ways = { lane: await openLane(), postMessage: await openPort() };
const shapes = {
  task: { make: taskRecord, total: 60_000 },
  compact: { make: compactRecord, total: 300_000 },
};
for (const [shape, { make, total }] of Object.entries(shapes)) {
  for (const perTurn of [1, 64, 256]) {
    const batches = Array.from({ length: Math.ceil(total / perTurn) }, (_, batch) =>
      Array.from({ length: perTurn }, (_unused, i): ToBench => ({
        kind: 'record',
        record: make(batch * perTurn + i),
      })),
    );
    console.log(`${shape}, ${perTurn} a turn: ${await compare(ways, batches)}`);
  }
}
for (const [name, way] of Object.entries(ways)) {
  const sorted = await roundTrips(way, 3_000);
  const at = (share: number): string => (sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(0);
  console.log(`round trip, ${name}: p50 ${at(0.5)} us, p99 ${at(0.99)} us`);
}
for (const way of Object.values(ways)) await way.close();
