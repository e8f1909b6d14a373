/** A thread for the tests of lanes and engines: answers each message, or dies as it is told. */
import { serveAsync, serveBlocking, type ThreadStart } from '../../../shared/lanes/serve.ts';
import type { Sender } from '../../../shared/lanes/lane.ts';

export type ToEcho =
  | { readonly kind: 'echo'; readonly value: unknown }
  /** Answers with `count` values of `lengthBytes` bytes. */
  | { readonly kind: 'burst'; readonly count: number; readonly lengthBytes: number }
  /** Computes for so long before the next message. */
  | { readonly kind: 'pause'; readonly ms: number }
  /** Blocking threads only: answers `tick` unasked after so long. */
  | { readonly kind: 'tick'; readonly afterMs: number }
  | { readonly kind: 'crash' | 'exhaust' | 'hang' };

export type FromEcho = { readonly value: unknown; readonly generation: number };

export type EchoData = { readonly mode: 'blocking' | 'async' };

function wait(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

function hang(): never {
  for (;;) wait(60_000);
}

function exhaust(): never {
  const hoard: number[][] = [];
  for (;;) hoard.push(Array.from({ length: 100_000 }, (_, i) => i + hoard.length));
}

function obey(message: ToEcho, lane: Pick<Sender<FromEcho>, 'send'>, generation: number): void {
  switch (message.kind) {
    case 'echo':
      lane.send({ value: message.value, generation });
      return;
    case 'burst':
      for (let i = 0; i < message.count; i++) {
        lane.send({ value: { i, bytes: new Uint8Array(message.lengthBytes) }, generation });
      }
      return;
    case 'pause':
      wait(message.ms);
      return;
    case 'tick':
      return;
    case 'crash':
      throw new Error('crashed as told');
    case 'exhaust':
      return exhaust();
    case 'hang':
      return hang();
  }
}

export function run(start: ThreadStart<EchoData>): void | Promise<void> {
  return start.data.mode === 'blocking' ? runBlocking(start) : runAsync(start);
}

function runBlocking(start: ThreadStart<EchoData>): void {
  let tickAtMs: number | undefined;
  serveBlocking<ToEcho, FromEcho>(start, {
    nowMs: () => performance.now(),
    handle: (messages, lane, nowMs) => {
      if (tickAtMs !== undefined && nowMs >= tickAtMs) {
        tickAtMs = undefined;
        lane.send({ value: 'tick', generation: start.generation });
      }
      for (const message of messages) {
        if (message.kind === 'tick') tickAtMs = nowMs + message.afterMs;
        else obey(message, lane, start.generation);
      }
      return tickAtMs;
    },
  });
}

function runAsync(start: ThreadStart<EchoData>): Promise<void> {
  return serveAsync<ToEcho, FromEcho>(start, (lane) => ({
    handle: async (messages) => {
      for (const message of messages) {
        obey(message, lane, start.generation);
        if (lane.full) await lane.ready();
      }
    },
    stop: () => undefined,
  }));
}
