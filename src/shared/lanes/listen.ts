/**
 * The event-loop side of a lane: sleeps in `Atomics.waitAsync` (no polling, no timer), flushes when
 * the peer has made room, and hands messages to a handler one batch at a time.
 *
 * A handler that returns a promise holds back further batches, and so the peer, until it settles;
 * sending goes on meanwhile. Between batches the event loop gets its turn.
 */
import type { Lane } from './lane.ts';

/** Takes a batch of messages, in order; the next batch comes when the returned promise settles. */
export type Handle<In> = (messages: readonly In[]) => void | Promise<void>;

export type Listening = {
  /** Resolves when the peer's thread has opened the lane, or the lane was dropped. */
  readonly opened: Promise<void>;
  /**
   * Resolves when the peer has ended and its last message was handled, or the lane was dropped;
   * rejects with what the handler threw, or with a LaneError when the peer sent garbage.
   */
  readonly drained: Promise<void>;
};

/** Starts handling what arrives on a lane. Once per lane. */
export function listen<Out, In>(lane: Lane<Out, In>, handle: Handle<In>): Listening {
  const opened = Promise.withResolvers<void>();
  const drained = Promise.withResolvers<void>();
  let state: 'idle' | 'handling' | 'over' = 'idle';

  const pump = async (): Promise<void> => {
    if (state !== 'idle') return;
    state = 'handling';
    try {
      const over = await handleAll(lane, handle, () => {
        state = 'idle';
      });
      if (!over) return;
      drained.resolve();
    } catch (error) {
      drained.reject(error);
    }
    state = 'over';
    lane.wake();
  };

  const waitAndPump = async (): Promise<void> => {
    for (;;) {
      const ticket = lane.ticket();
      if (lane.peerOpened || lane.dropped) opened.resolve();
      lane.flush();
      void pump();
      if (lane.dropped || (state === 'over' && lane.ended)) break;
      await lane.rung(ticket);
    }
    opened.resolve();
    if (lane.dropped) drained.resolve();
  };
  void waitAndPump();
  return { opened: opened.promise, drained: drained.promise };
}

/**
 * Handles until nothing is there.
 *
 * @param idle called in the same turn in which the lane was found empty and was asked to wake us, so
 *   that no wake-up can fall between
 * @returns whether the lane is over: drained or dropped
 */
async function handleAll<Out, In>(
  lane: Lane<Out, In>,
  handle: Handle<In>,
  idle: () => void,
): Promise<boolean> {
  for (;;) {
    if (lane.dropped) return true;
    const messages = lane.take();
    if (messages.length > 0) {
      await handle(messages);
      await turn();
    } else if (lane.drained) {
      return true;
    } else if (!lane.wantData()) {
      idle();
      return false;
    }
  }
}

/** Lets the event loop serve its other sources. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
