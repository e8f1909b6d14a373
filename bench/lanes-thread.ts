/** The far side of bench/lanes.ts: counts or echoes, over a lane or over postMessage. */
import { parentPort } from 'node:worker_threads';
import { serveBlocking, type ThreadStart } from '../src/shared/lanes/serve.ts';

/** `count` is answered with the number of records seen since the last one. */
export type ToBench =
  | { readonly kind: 'record'; readonly record: unknown }
  | { readonly kind: 'count' | 'ping' };

export type FromBench =
  | { readonly kind: 'count'; readonly count: number }
  | { readonly kind: 'pong' };

function counter(): (message: ToBench) => FromBench | undefined {
  let records = 0;
  return (message) => {
    if (message.kind === 'ping') return { kind: 'pong' };
    if (message.kind === 'count') {
      const count = records;
      records = 0;
      return { kind: 'count', count };
    }
    records += 1;
    return undefined;
  };
}

/** Entry of the engine. */
export function run(start: ThreadStart): void {
  const answer = counter();
  serveBlocking<ToBench, FromBench>(start, {
    nowMs: () => Date.now(),
    handle: (messages, lane) => {
      for (const message of messages) {
        const reply = answer(message);
        if (reply !== undefined) lane.send(reply);
      }
      return undefined;
    },
  });
}

/** Serves postMessage instead. */
export function runPort(): void {
  const port = parentPort;
  if (port === null) throw new Error('runs in a thread only');
  const answer = counter();
  port.on('message', (messages: readonly ToBench[]) => {
    for (const message of messages) {
      const reply = answer(message);
      if (reply !== undefined) port.postMessage([reply]);
    }
  });
}
