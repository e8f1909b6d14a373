/** What an engine's owner says of its threads; engine.ts tells how it is used. */
import type { ResourceLimits } from 'node:worker_threads';
import type { Lane, LaneOptions } from '../../shared/lanes/lane.ts';

/** Which thread: its index from 0, and its generation from 1. */
export type ThreadPlace = { readonly index: number; readonly generation: number };

/** Where an engine's news go; a pino logger is one. */
export type EngineLog = {
  warn(fields: object, text: string): void;
};

export type EngineOptions<Out, In> = {
  /** For logs and errors. */
  readonly name: string;
  /** The file whose exported `run` is the thread: see entry.ts. */
  readonly entry: URL;
  readonly threads: number;
  readonly log: EngineLog;
  /** Heap bounds of each thread; one that exceeds them dies and is replaced. */
  readonly resourceLimits?: ResourceLimits;
  /** Ring capacities in bytes, powers of two. */
  readonly rings?: { readonly toThreadBytes?: number; readonly toMainBytes?: number };
  readonly limits?: Pick<LaneOptions, 'messageBytesMax' | 'waitingBytesMax'>;
  /** Given to every thread with its start; structured clone. */
  readonly data?: unknown;
  /** A thread has its place: send what it must know. Called for the first and every next one. */
  readonly onStart: (lane: Lane<Out, In>, place: ThreadPlace) => void;
  /**
   * Messages from a thread, in order. A returned promise holds back further ones. Must not await
   * `ready()` of the same lane; what it throws is a bug and is not caught.
   */
  readonly onMessages: (
    messages: readonly In[],
    lane: Lane<Out, In>,
    place: ThreadPlace,
  ) => void | Promise<void>;
  /** A thread is gone and its last messages were handled. */
  readonly onEnd?: (place: ThreadPlace, reason: string) => void;
};
