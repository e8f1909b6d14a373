/** Lanes and engines with real threads. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Random } from '../../shared/kit/random.ts';
import type { Lane } from '../../shared/lanes/lane.ts';
import { Engine } from './engine.ts';
import type { EngineOptions, ThreadPlace } from './engine-options.ts';
import { workerEntry } from './entry.ts';
import type { EchoData, FromEcho, ToEcho } from './testing/echo-entry.ts';

type Options = EngineOptions<ToEcho, FromEcho>;
type Warning = { readonly text: string; readonly fields: Readonly<Record<string, unknown>> };

const ECHO = new URL('./testing/echo-entry.ts', import.meta.url);
const MODES = ['blocking', 'async'] as const;

function echo(
  mode: EchoData['mode'],
  options: Partial<Options> = {},
): { readonly engine: Engine<ToEcho, FromEcho>; readonly warnings: Warning[] } {
  const warnings: Warning[] = [];
  const engine = new Engine<ToEcho, FromEcho>({
    name: 'echo',
    entry: ECHO,
    threads: 1,
    data: { mode } satisfies EchoData,
    log: { warn: (fields, text) => warnings.push({ fields: { ...fields }, text }) },
    onStart: () => undefined,
    onMessages: () => undefined,
    ...options,
  });
  return { engine, warnings };
}

/** Collects what arrives and says when `count` messages have. */
class Collector {
  readonly messages: FromEcho[] = [];
  readonly #waiters: { readonly count: number; readonly resolve: () => void }[] = [];

  readonly take = (messages: readonly FromEcho[]): void => {
    this.messages.push(...messages);
    for (const waiter of this.#waiters) {
      if (this.messages.length >= waiter.count) waiter.resolve();
    }
  };

  get values(): unknown[] {
    return this.messages.map((message) => message.value);
  }

  async reached(count: number): Promise<void> {
    if (this.messages.length >= count) return;
    await new Promise<void>((resolve) => this.#waiters.push({ count, resolve }));
  }
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  assert(typeof value === 'object' && value !== null);
  return { ...value };
}

function laneOf(engine: Engine<ToEcho, FromEcho>): Lane<ToEcho, FromEcho> {
  const lane = engine.lane(0);
  assert(lane !== undefined);
  return lane;
}

/** Sends as fast as the lane takes it. */
async function sendAll(lane: Lane<ToEcho, FromEcho>, messages: Iterable<ToEcho>): Promise<void> {
  for (const message of messages) {
    if (lane.full) await lane.ready();
    lane.send(message);
  }
}

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 0xff);
}

for (const mode of MODES) {
  test(`${mode}: values of all sizes come back once and in order over tiny rings`, async () => {
    const collector = new Collector();
    const { engine } = echo(mode, {
      rings: { toThreadBytes: 128, toMainBytes: 256 },
      limits: { waitingBytesMax: 1000 },
      onMessages: collector.take,
    });
    await using _ = engine;
    await engine.start();
    const sizes = [0, 1, 63, 64, 65, 127, 128, 129, 255, 256, 257, 5_000, 100_000];
    const values = Array.from({ length: 130 }, (_unused, i) =>
      bytesOf(sizes[(i * 7) % sizes.length] ?? 0, i),
    );
    const started = laneOf(engine);
    await sendAll(
      started,
      values.map((value) => ({ kind: 'echo', value })),
    );
    await collector.reached(values.length);
    await engine.stop();
    assert.deepEqual(collector.values, values);
  });

  test(`${mode}: one message in flight, thousands of times: no wake-up is lost`, async () => {
    const rounds = 3_000;
    const done = Promise.withResolvers<void>();
    let round = 0;
    const { engine } = echo(mode, {
      onMessages: (messages, lane) => {
        for (const message of messages) assert.equal(message.value, round++);
        if (round === rounds) done.resolve();
        else lane.send({ kind: 'echo', value: round });
      },
    });
    await using _ = engine;
    await engine.start();
    laneOf(engine).send({ kind: 'echo', value: 0 });
    await done.promise;
    const [seat] = engine.stats();
    assert.equal(seat?.lane?.received.records, rounds);
    assert.ok((seat?.lane?.wakeUps ?? 0) <= rounds + 2, 'main was woken without cause');
  });

  test(`${mode}: a slow main side pushes back on the thread, and loses nothing`, async () => {
    const collector = new Collector();
    const { engine } = echo(mode, {
      rings: { toMainBytes: 4096 },
      onMessages: async (messages) => {
        await new Promise((resolve) => setImmediate(resolve));
        collector.take(messages);
      },
    });
    await using _ = engine;
    await engine.start();
    laneOf(engine).send({ kind: 'burst', count: 5_000, lengthBytes: 300 });
    await collector.reached(5_000);
    assert.deepEqual(
      collector.values.map((value) => fieldsOf(value)['i']),
      Array.from({ length: 5_000 }, (_unused, i) => i),
    );
    assert.ok((engine.stats()[0]?.lane?.received.stalls ?? 0) > 0, 'the ring was never full');
  });

  test(`${mode}: a slow thread pushes back on main, whose queue stays bounded`, async () => {
    const collector = new Collector();
    const waitingBytesMax = 10_000;
    const { engine } = echo(mode, {
      rings: { toThreadBytes: 4096 },
      limits: { waitingBytesMax },
      onMessages: collector.take,
    });
    await using _ = engine;
    await engine.start();
    const lane = laneOf(engine);
    let held = 0;
    for (let i = 0; i < 500; i++) {
      if (i % 100 === 0) lane.send({ kind: 'pause', ms: 20 });
      if (lane.full) {
        held += 1;
        await lane.ready();
      }
      lane.send({ kind: 'echo', value: bytesOf(1_000, i) });
      assert.ok(lane.stats().sent.waitingBytes < waitingBytesMax + 2_000);
    }
    await collector.reached(500);
    assert.ok(held > 0, 'the producer was never held back');
    assert.deepEqual(
      collector.values,
      Array.from({ length: 500 }, (_unused, i) => bytesOf(1_000, i)),
    );
  });

  test(`${mode}: kills in the middle: all is answered, nothing twice by one thread`, async () => {
    const random = new Random(mode === 'async' ? 11n : 12n);
    const total = 4_000;
    const open = new Set<number>();
    const answers = new Map<number, number>();
    let lastOfGeneration = -1;
    const allAnswered = Promise.withResolvers<void>();
    const sendOpen = (lane: Lane<ToEcho, FromEcho>): Promise<void> =>
      sendAll(
        lane,
        [...open].map((id) => ({ kind: 'echo', value: { id, body: bytesOf(id % 700, id) } })),
      );
    for (let id = 0; id < total; id++) open.add(id);
    const { engine } = echo(mode, {
      rings: { toThreadBytes: 2048, toMainBytes: 1024 },
      onStart: (lane) => {
        lastOfGeneration = -1;
        void sendOpen(lane);
      },
      onMessages: (messages, _lane, place) => {
        for (const { value, generation } of messages) {
          assert.equal(generation, place.generation, 'an answer of an earlier thread');
          const { id, body } = fieldsOf(value);
          assert(typeof id === 'number');
          assert.ok(id > lastOfGeneration, `${id} came after ${lastOfGeneration}`);
          lastOfGeneration = id;
          assert.deepEqual(body, bytesOf(id % 700, id));
          answers.set(id, (answers.get(id) ?? 0) + 1);
          open.delete(id);
        }
        if (open.size === 0) allAnswered.resolve();
      },
    });
    await using _ = engine;
    await engine.start();
    let kills = 0;
    while (open.size > 0 && kills < 5) {
      const before = open.size;
      const target = Math.max(0, before - 100 - random.below(500));
      while (open.size > target) await new Promise((resolve) => setImmediate(resolve));
      await engine.kill(0);
      kills += 1;
    }
    await allAnswered.promise;
    assert.ok(kills > 3);
    assert.deepEqual(
      [...answers].filter(([, count]) => count !== 1),
      [],
      'what was published before the kill had been handled before the open ones were sent again',
    );
    assert.equal(answers.size, total);
  });

  for (const kind of ['crash', 'exhaust'] as const) {
    test(`${mode}: a thread that meets its end by ${kind} is replaced`, async () => {
      const collector = new Collector();
      const ended: { readonly place: ThreadPlace; readonly reason: string }[] = [];
      const { engine, warnings } = echo(mode, {
        resourceLimits: { maxOldGenerationSizeMb: 24, maxYoungGenerationSizeMb: 4 },
        onStart: (lane, place) => {
          lane.send({ kind: 'echo', value: `hello ${place.generation}` });
          if (place.generation === 1) lane.send({ kind });
        },
        onMessages: collector.take,
        onEnd: (place, reason) => ended.push({ place, reason }),
      });
      await using _ = engine;
      await engine.start();
      while (!collector.values.includes('hello 2')) {
        await collector.reached(collector.messages.length + 1);
      }
      assert.deepEqual(
        ended.map((end) => end.place),
        [{ index: 0, generation: 1 }],
      );
      assert.match(ended[0]?.reason ?? '', kind === 'crash' ? /crashed as told/ : /memory/);
      assert.equal(warnings.length, 1);
      assert.equal(warnings[0]?.fields['thread'], 'echo/0#1');
    });
  }

  test(`${mode}: stop waits for what was sent, and is quiet about it`, async () => {
    const collector = new Collector();
    const { engine, warnings } = echo(mode, { threads: 2, onMessages: collector.take });
    await engine.start();
    for (let i = 0; i < 1_000; i++) {
      engine.lane(0)?.send({ kind: 'echo', value: i });
      engine.lane(1)?.send({ kind: 'echo', value: i });
    }
    await Promise.all([engine.stop(), engine.stop()]);
    assert.equal(collector.messages.length, 2_000);
    assert.deepEqual(warnings, []);
    assert.equal(engine.lane(0), undefined);
    await engine.stop();
  });

  test(`${mode}: a thread that hangs is terminated at the deadline of stop`, async () => {
    const { engine, warnings } = echo(mode);
    await engine.start();
    laneOf(engine).send({ kind: 'hang' });
    await engine.stop(30);
    assert.deepEqual(
      warnings.map((one) => one.text),
      ['thread did not end in time'],
    );
  });
}

test('what a thread had published before its death is handled before its successor starts', async () => {
  const gate = Promise.withResolvers<void>();
  const values: unknown[] = [];
  const handledAtStart: number[] = [];
  const restarted = Promise.withResolvers<void>();
  const { engine } = echo('blocking', {
    rings: { toMainBytes: 1 << 20 },
    onStart: (_lane, place) => {
      handledAtStart.push(values.length);
      if (place.generation === 2) restarted.resolve();
    },
    onMessages: async (messages) => {
      await gate.promise;
      values.push(...messages.map((message) => fieldsOf(message.value)['i']));
    },
  });
  await using _ = engine;
  await engine.start();
  const lane = laneOf(engine);
  lane.send({ kind: 'burst', count: 2_000, lengthBytes: 100 });
  while (lane.stats().received.ringBytes < 100_000) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await engine.kill(0);
  gate.resolve();
  await restarted.promise;
  assert.ok(values.length > 900, `only ${values.length} were handled`);
  assert.deepEqual(
    values,
    values.map((_unused, i) => i),
  );
  assert.deepEqual(handledAtStart, [0, values.length]);
});

test('a handler that never comes back does not hold up the stop for ever', async () => {
  const called = Promise.withResolvers<void>();
  const { engine } = echo('blocking', {
    onMessages: () => {
      called.resolve();
      return new Promise(() => {});
    },
  });
  await engine.start();
  laneOf(engine).send({ kind: 'echo', value: 1 });
  await called.promise;
  await engine.stop(30);
});

test('a blocking thread is called again at the time it asked for', async () => {
  const collector = new Collector();
  const { engine } = echo('blocking', { onMessages: collector.take });
  await using _ = engine;
  await engine.start();
  const startMs = performance.now();
  laneOf(engine).send({ kind: 'tick', afterMs: 30 });
  await collector.reached(1);
  assert.deepEqual(collector.values, ['tick']);
  assert.ok(performance.now() - startMs >= 29);
});

test('a thread that keeps dying is started ever more slowly; stop does not wait for the next', async () => {
  const third = Promise.withResolvers<void>();
  const { engine, warnings } = echo('blocking', {
    onStart: (lane, place) => {
      if (place.generation === 4) third.resolve();
      lane.send({ kind: 'crash' });
    },
  });
  await engine.start();
  await third.promise;
  await engine.stop();
  assert.deepEqual(
    warnings.slice(0, 3).map((one) => one.fields['retryMs']),
    [20, 40, 80],
  );
});

for (const [what, file, reason] of [
  ['is not there', './testing/no-such-entry.ts', /no-such-entry/],
  ['exports no run', '../../shared/kit/random.ts', /No handler function|run/],
] as const) {
  test(`start fails, and leaves nothing, when the entry ${what}`, async () => {
    const { engine } = echo('blocking', { entry: new URL(file, import.meta.url) });
    await assert.rejects(engine.start(), reason);
    assert.equal(engine.lane(0), undefined);
  });
}

// A file that is being read is nobody's leftover: the test runner reads too.
function resources(): Map<string, number> {
  const names = process.getActiveResourcesInfo().filter((name) => name !== 'FSReqCallback');
  return new Map(
    Map.groupBy(names, (name) => name)
      .entries()
      .map(([name, all]) => [name, all.length]),
  );
}

test('after stop no thread, port, timer or listener is left', async () => {
  const before = resources();
  for (let round = 0; round < 3; round++) {
    const { engine } = echo(round === 1 ? 'async' : 'blocking', { threads: 2 });
    await engine.start();
    await engine.kill(0);
    await engine.stop();
  }
  // What earlier tests left to close may have gone meanwhile.
  const more = [...resources()].filter(([name, count]) => count > (before.get(name) ?? 0));
  assert.deepEqual(more, []);
});

test('what the owner’s handler throws ends the process instead of passing for a dead thread', async () => {
  const program = `
    import { Engine } from ${JSON.stringify(new URL('./engine.ts', import.meta.url).href)};
    const engine = new Engine({
      name: 'echo', entry: new URL(${JSON.stringify(ECHO.href)}), threads: 1,
      data: { mode: 'blocking' }, log: { warn() {} },
      onStart: (lane) => lane.send({ kind: 'echo', value: 1 }),
      onMessages: () => { throw new Error('a bug of the owner'); },
    });
    await engine.start();
  `;
  await assert.rejects(
    promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]),
    (error: Error & { readonly code?: number; readonly stderr?: string }) =>
      error.code === 1 && /a bug of the owner/.test(error.stderr ?? ''),
  );
});

test('an engine’s entry is found beside the main side, built or not', () => {
  assert.match(workerEntry('placement').href, /\/src\/workers\/placement\/entry\.ts$/);
});
