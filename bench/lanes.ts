/**
 * Lanes beside postMessage: records a second to a thread, and round trips with one in flight.
 *
 * Both sides carry the same objects; the count that comes back is checked before a rate is told.
 */
import assert from 'node:assert/strict';
import { Worker } from 'node:worker_threads';
import { Engine } from '../src/main/pools/engine.ts';
import type { Bench, Session } from './kit/bench.ts';
import { micro } from './kit/micro.ts';
import type { FromBench, ToBench } from './lanes-thread.ts';

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

async function carry(way: Way, batches: readonly (readonly ToBench[])[]): Promise<number> {
  const records = batches.reduce((sum, batch) => sum + batch.length, 0);
  for (const batch of batches) await way.send(batch);
  assert.deepEqual(await way.ask({ kind: 'count' }), { kind: 'count', count: records });
  return records;
}

type Ways = Readonly<Record<string, Way>>;

async function throughput(session: Session, ways: Ways): Promise<void> {
  const rounds = session.pick({ tiny: 1, short: 5, full: 9 });
  const scale = session.pick({ tiny: 0.01, short: 1, full: 1 });
  const shapes = {
    task: { make: taskRecord, total: 60_000 },
    compact: { make: compactRecord, total: 300_000 },
  };
  for (const [shape, { make, total }] of Object.entries(shapes)) {
    for (const perTurn of [1, 64, 256]) {
      const batches = Array.from({ length: Math.ceil((total * scale) / perTurn) }, (_, batch) =>
        Array.from({ length: perTurn }, (_unused, i): ToBench => ({
          kind: 'record',
          record: make(batch * perTurn + i),
        })),
      );
      await session.compare(
        { scenario: `${shape}, ${perTurn} a turn`, things: 'records', rounds, countsCpu: false },
        Object.entries(ways).map(([name, way]) => ({
          name,
          prepare: () => () => carry(way, batches),
        })),
      );
    }
  }
}

const roundTrip = (way: Way) => async (): Promise<void> =>
  assert.equal((await way.ask({ kind: 'ping' })).kind, 'pong');

export const bench: Bench = {
  about: 'records between threads and round trips, over lanes and postMessage',
  run: async (session) => {
    const ways = { lane: await openLane(), postMessage: await openPort() };
    await throughput(session, ways);
    const { lane, postMessage } = ways;
    await micro(session, 'round trip', {
      lane: roundTrip(lane),
      postMessage: roundTrip(postMessage),
    });
    for (const way of Object.values(ways)) await way.close();
  },
};
