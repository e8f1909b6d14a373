/**
 * The thread's side of an engine: what `src/workers/<engine>/entry.ts` is made of.
 *
 * An entry exports one function, `run`, which Piscina calls once with the thread's start; the thread
 * lives as long as that call. An engine that computes sleeps in `Atomics.wait`:
 *
 * ```ts
 * export function run(start: ThreadStart): void {
 *   const placement = new Placement();
 *   serveBlocking<ToPlacement, FromPlacement>(start, {
 *     nowMs: () => Date.now(),
 *     handle: (messages, lane, nowMs) => placement.step(messages, lane, nowMs),
 *   });
 * }
 * ```
 *
 * An engine that does I/O keeps its event loop: `serveAsync`. Either returns when the main thread has
 * ended the lane and everything is answered; an error thrown by the engine ends its thread, and the
 * main side starts another.
 */
import { Lane } from './lane.ts';
import type { LaneMemory } from './lane-memory.ts';
import { listen, type Handle } from './listen.ts';

/** What a thread is started with. */
export type ThreadStart<Data = undefined> = {
  readonly lane: LaneMemory;
  /** Which of the engine's threads this is, from 0. */
  readonly index: number;
  /** How many threads this place has seen before and with this one, from 1. */
  readonly generation: number;
  /** What the engine's owner gives every thread; structured clone. */
  readonly data: Data;
};

export type BlockingEngine<In, Out> = {
  readonly nowMs: () => number;
  /**
   * Takes what has arrived (at least one message, except when called for its deadline) and sends its
   * answers on the lane.
   *
   * @returns when to call again even if nothing arrives, as a time of `nowMs`; undefined for never
   */
  readonly handle: (
    messages: readonly In[],
    lane: Pick<Lane<Out, In>, 'send'>,
    nowMs: number,
  ) => number | undefined;
};

/** Serves a lane from a thread that only computes; blocks until the main thread ends the lane. */
export function serveBlocking<In, Out>(
  start: Pick<ThreadStart, 'lane'>,
  engine: BlockingEngine<In, Out>,
): void {
  const lane = new Lane<Out, In>({ memory: start.lane, end: 'thread', blocking: true });
  let deadlineMs: number | undefined;
  for (;;) {
    const messages = lane.take();
    const nowMs = engine.nowMs();
    if (messages.length > 0 || (deadlineMs !== undefined && nowMs >= deadlineMs)) {
      deadlineMs = engine.handle(messages, lane, nowMs);
      lane.flushBlocking();
    } else if (lane.drained) {
      break;
    } else {
      lane.sleep(deadlineMs === undefined ? Infinity : deadlineMs - nowMs);
    }
  }
  lane.end();
  lane.flushBlocking();
}

export type AsyncEngine<In> = {
  readonly handle: Handle<In>;
  /** Called when the main thread has ended the lane and all its messages were handled. */
  readonly stop: () => void | Promise<void>;
};

/**
 * Serves a lane from a thread that does I/O.
 *
 * @param open makes the engine, given the lane to send on
 * @returns resolves when the lane is over, after `stop`
 */
export async function serveAsync<In, Out>(
  start: Pick<ThreadStart, 'lane'>,
  open: (lane: Lane<Out, In>) => AsyncEngine<In>,
): Promise<void> {
  const lane = new Lane<Out, In>({ memory: start.lane, end: 'thread' });
  const engine = open(lane);
  try {
    await listen(lane, engine.handle).drained;
    await engine.stop();
    await lane.finish();
  } catch (error) {
    lane.drop();
    throw error;
  }
}
