/** A thread for the tests of lanes and engines: answers each message, or dies as it is told. */
import { serveAsync, serveBlocking, type ThreadStart } from '../../../shared/lanes/serve.ts';

export type ToEcho =
  | { readonly kind: 'echo'; readonly value: unknown }
  | { readonly kind: 'crash' }
  | { readonly kind: 'exhaust' }
  | { readonly kind: 'hang' };

export type FromEcho = { readonly value: unknown; readonly generation: number };

export type EchoData = { readonly mode: 'blocking' | 'async' };

const MISDEEDS = {
  crash: (): never => {
    throw new Error('crashed as told');
  },
  exhaust: (): never => {
    const hoard: number[][] = [];
    for (;;) hoard.push(Array.from({ length: 100_000 }, (_, i) => i + hoard.length));
  },
  hang: (): never => {
    const words = new Int32Array(new SharedArrayBuffer(4));
    for (;;) Atomics.wait(words, 0, 0);
  },
} as const;

function answer(message: ToEcho, generation: number): FromEcho {
  if (message.kind === 'echo') return { value: message.value, generation };
  return MISDEEDS[message.kind]();
}

export function run(start: ThreadStart<EchoData>): void | Promise<void> {
  const { generation } = start;
  if (start.data.mode === 'blocking') {
    serveBlocking<ToEcho, FromEcho>(start, {
      nowMs: () => Date.now(),
      handle: (messages, lane) => {
        for (const message of messages) lane.send(answer(message, generation));
        return undefined;
      },
    });
    return undefined;
  }
  return serveAsync<ToEcho, FromEcho>(start, (lane) => ({
    handle: async (messages) => {
      for (const message of messages) {
        lane.send(answer(message, generation));
        if (lane.full) await lane.ready();
      }
    },
    stop: () => undefined,
  }));
}
