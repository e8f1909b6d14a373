/** The allocator's thread: lane in, core, lane out, and nothing else. */
import { flushCompileCache } from 'node:module';
import type { FromAllocator, ToAllocator } from '../../shared/lanes/allocation.ts';
import { serveBlocking, type ThreadStart } from '../../shared/lanes/serve.ts';
import { Allocator } from './core/allocator.ts';

/** Serves one lane until main ends it; everything the thread knows comes over the lane. */
export function run(start: ThreadStart): void {
  flushCompileCache(); // a thread that is killed would leave nothing for the next start
  const allocator = new Allocator();
  serveBlocking<ToAllocator, FromAllocator>(start, {
    // The allocator keeps no time: it is called when something arrives, and only then.
    nowMs: () => 0,
    handle: (messages, lane) => {
      for (const answer of allocator.step(messages)) lane.send(answer);
      return undefined;
    },
  });
}
