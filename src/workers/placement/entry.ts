/** The placement thread: lane in, engine, lane out, and nothing else. */
import { flushCompileCache } from 'node:module';
import type { FromPlacement, ToPlacement } from '../../shared/lanes/placement.ts';
import { serveBlocking, type ThreadStart } from '../../shared/lanes/serve.ts';
import { Turns } from './turns.ts';

/** Serves one lane until main ends it; everything the thread knows comes over the lane. */
export function run(start: ThreadStart): void {
  flushCompileCache(); // a thread that is killed would leave nothing for the next start
  const turns = new Turns();
  serveBlocking<ToPlacement, FromPlacement>(start, {
    nowMs: () => Date.now(),
    handle: (messages, lane, nowMs) => turns.handle(messages, lane, nowMs),
  });
}
