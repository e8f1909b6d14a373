import { test } from 'node:test';
import { Engine } from './engine.ts';
import type { EchoData, FromEcho, ToEcho } from './testing/echo-entry.ts';

const entry = new URL('./testing/echo-entry.ts', import.meta.url);

for (const mode of ['blocking', 'async'] as const) {
  test(`${mode}: echoes`, { timeout: 20_000 }, async () => {
    const got: unknown[] = [];
    const done = Promise.withResolvers<void>();
    const engine = new Engine<ToEcho, FromEcho>({
      name: 'echo',
      entry,
      threads: 2,
      log: { warn: (f, t) => console.log(f, t) },
      data: { mode } satisfies EchoData,
      onStart: () => {},
      onMessages: (ms) => {
        got.push(...ms.map((m) => m.value));
        if (got.length === 2000) done.resolve();
      },
    });
    await engine.start();
    for (let i = 0; i < 1000; i++) {
      engine.lane(0)?.send({ kind: 'echo', value: i });
      engine.lane(1)?.send({ kind: 'echo', value: i });
    }
    await done.promise;
    console.log(JSON.stringify(engine.stats()));
    await engine.kill(0);
    await new Promise((r) => setTimeout(r, 500));
    engine.lane(0)?.send({ kind: 'echo', value: 'again' });
    engine.lane(1)?.send({ kind: 'crash' });
    await new Promise((r) => setTimeout(r, 500));
    engine.lane(1)?.send({ kind: 'echo', value: 'again1' });
    engine.lane(0)?.send({ kind: 'hang' });
    const t = Date.now();
    await engine.stop(500);
    console.log(Date.now() - t, got.slice(2000));
  });
}
