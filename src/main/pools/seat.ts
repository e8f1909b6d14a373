/**
 * A seat: the place of one thread of an engine. It has one thread at a time, notices its death, and
 * starts the next after a back-off; each thread gets a lane of its own and the next generation.
 *
 * Every thread runs in a Piscina pool of exactly one, as one long task: the pool spawns it, bounds its
 * memory and reports its end, and a dead thread's pool is thrown away with it, so nothing of one
 * generation (queue, listener, half a frame) can meet the next.
 */
import assert from 'node:assert/strict';
import type { Worker } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { LaneError } from '../../shared/lanes/lane-error.ts';
import { createLaneMemory } from '../../shared/lanes/lane-memory.ts';
import { Lane, type LaneStats } from '../../shared/lanes/lane.ts';
import { listen } from '../../shared/lanes/listen.ts';
import type { ThreadStart } from '../../shared/lanes/serve.ts';
import type { EngineOptions, ThreadPlace } from './engine-options.ts';

/** How a thread came to its end. */
type Ending = { readonly reason: string; readonly cause: unknown };

/** One running thread, with everything that ends when it ends. */
type Tenancy<Out, In> = {
  readonly place: ThreadPlace;
  readonly lane: Lane<Out, In>;
  readonly thread: Worker;
  /** Resolves when the thread has opened its lane. */
  readonly opened: Promise<void>;
  /** Resolves when the thread is gone and its last message was handled. */
  readonly over: Promise<Ending>;
};

const BACK_OFF_MS = { first: 20, max: 5_000, resetAfter: 10_000 } as const;

export type SeatStats = {
  readonly index: number;
  readonly generation: number;
  readonly running: boolean;
  readonly lane: LaneStats | undefined;
};

export class Seat<Out, In> {
  readonly #options: EngineOptions<Out, In>;
  readonly #index: number;
  readonly #stopping = Promise.withResolvers<void>();
  #isStopping = false;
  #generation = 0;
  #backOffMs: number = BACK_OFF_MS.first;
  #tenancy: Tenancy<Out, In> | undefined;
  #life: Promise<void> | undefined;

  constructor(options: EngineOptions<Out, In>, index: number) {
    this.#options = options;
    this.#index = index;
  }

  get lane(): Lane<Out, In> | undefined {
    return this.#tenancy?.lane;
  }

  get stats(): SeatStats {
    return {
      index: this.#index,
      generation: this.#generation,
      running: this.#tenancy !== undefined,
      lane: this.#tenancy?.lane.stats(),
    };
  }

  /** Starts the first thread; rejects when it ends before it has opened its lane. */
  async start(): Promise<void> {
    assert(this.#life === undefined, 'a seat starts once');
    const first = this.#occupy();
    this.#life = this.#live(first);
    const failed = await Promise.race([
      first.opened.then(() => (first.lane.peerOpened ? undefined : first.over)),
      first.over,
    ]);
    if (failed !== undefined && !this.#isStopping) {
      throw new Error(`thread ${this.#name(1)} did not start: ${failed.reason}`, {
        cause: failed.cause,
      });
    }
  }

  /** Ends the lane, waits for the thread to finish, and after `deadlineMs` terminates it. */
  async stop(deadlineMs: number): Promise<void> {
    this.#isStopping = true;
    this.#stopping.resolve();
    const tenancy = this.#tenancy;
    if (tenancy !== undefined) {
      tenancy.lane.end();
      const timer = setTimeout(() => {
        this.#options.log.warn({ thread: this.#name(), deadlineMs }, 'thread did not end in time');
        void tenancy.thread.terminate();
        // Nor may the owner's handler hold up the stop.
        tenancy.lane.drop();
      }, deadlineMs);
      await tenancy.over;
      clearTimeout(timer);
    }
    await this.#life;
  }

  /** Terminates the thread as it stands; the seat replaces it. Resolves when it is gone. */
  async kill(): Promise<void> {
    await this.#tenancy?.thread.terminate();
  }

  /** One thread after the other until the seat is stopped. */
  async #live(first: Tenancy<Out, In>): Promise<void> {
    for (let tenancy = first; ; tenancy = this.#occupy()) {
      const reset = setTimeout(() => {
        this.#backOffMs = BACK_OFF_MS.first;
      }, BACK_OFF_MS.resetAfter);
      const ending = await tenancy.over;
      clearTimeout(reset);
      this.#tenancy = undefined;
      this.#options.onEnd?.(tenancy.place, ending.reason);
      if (this.#isStopping) return;
      this.#options.log.warn(
        {
          thread: this.#name(),
          reason: ending.reason,
          error: ending.cause,
          retryMs: this.#backOffMs,
        },
        'thread died; another takes its place',
      );
      await this.#backOff();
      if (this.#isStopping) return;
    }
  }

  /** Starts a thread and tells the owner of its lane. */
  #occupy(): Tenancy<Out, In> {
    this.#generation += 1;
    const place = { index: this.#index, generation: this.#generation };
    const memory = createLaneMemory(this.#options.rings);
    const lane = new Lane<Out, In>({ ...this.#options.limits, memory, end: 'main' });
    const listening = listen(lane, (messages) => this.#options.onMessages(messages, lane, place));
    const { pool, task, thread, exited } = spawn(this.#options, {
      lane: memory,
      ...place,
      data: this.#options.data,
    });
    const over = this.#untilOver(lane, listening.drained, { pool, task, exited });
    const tenancy = { place, lane, thread, opened: listening.opened, over };
    this.#tenancy = tenancy;
    try {
      this.#options.onStart(lane, place);
    } catch (error) {
      void thread.terminate();
      throw error;
    }
    return tenancy;
  }

  /** Resolves when the thread is gone, its last message handled, and its lane dropped. */
  async #untilOver(
    lane: Lane<Out, In>,
    drained: Promise<void>,
    spawned: Pick<Spawned, 'pool' | 'task' | 'exited'>,
  ): Promise<Ending> {
    const garbage = drained.then(
      () => new Promise<never>(() => {}),
      (error: unknown): Ending => {
        // What the owner's handler throws is a bug of ours: it must not pass for a thread's death.
        if (!(error instanceof LaneError)) throw error;
        return { reason: error.message, cause: error };
      },
    );
    try {
      const ending = await Promise.race([spawned.task, spawned.exited, garbage]);
      await endThread(spawned);
      lane.peerDied();
      if (!(ending.cause instanceof LaneError)) await drained;
      return ending;
    } finally {
      await endThread(spawned);
      lane.drop();
    }
  }

  async #backOff(): Promise<void> {
    const passed = Promise.withResolvers<void>();
    const timer = setTimeout(passed.resolve, this.#backOffMs);
    this.#backOffMs = Math.min(this.#backOffMs * 2, BACK_OFF_MS.max);
    await Promise.race([passed.promise, this.#stopping.promise]);
    clearTimeout(timer);
  }

  #name(generation = this.#generation): string {
    return `${this.#options.name}/${this.#index}#${generation}`;
  }
}

type Spawned = {
  readonly pool: Piscina;
  readonly thread: Worker;
  /** Resolves when the entry's `run` has returned or failed. */
  readonly task: Promise<Ending>;
  /** Resolves when the thread has exited, for whatever reason. */
  readonly exited: Promise<Ending>;
};

/** Ends the thread if it still lives; resolves when it is gone. */
async function endThread(spawned: Pick<Spawned, 'pool' | 'exited'>): Promise<void> {
  await Promise.all([spawned.pool.destroy(), spawned.exited]);
}

function spawn<Out, In>(options: EngineOptions<Out, In>, start: ThreadStart<unknown>): Spawned {
  const pool = new Piscina({
    minThreads: 0,
    maxThreads: 1,
    idleTimeout: Infinity,
    // The thread's event loop belongs to the engine, not to Piscina's wait for a next task.
    atomics: 'disabled',
    recordTiming: false,
    ...(options.resourceLimits === undefined ? {} : { resourceLimits: options.resourceLimits }),
  });
  const failed = Promise.withResolvers<Ending>();
  const fail = (error: unknown): void => failed.resolve({ reason: String(error), cause: error });
  // Without a listener an error outside the task, such as one at the thread's start, would be thrown.
  pool.on('error', fail);
  pool
    .run(start, { filename: options.entry.href, name: 'run' })
    .then(() => failed.resolve({ reason: 'its entry returned', cause: undefined }), fail);
  const thread = pool.threads[0];
  assert(thread !== undefined, 'Piscina starts a thread with the first task');
  const exited = new Promise<Ending>((resolve) => {
    let cause: Error | undefined;
    // Out of memory is told here, in the same turn as the exit and before Piscina's word of it.
    thread.once('error', (error: unknown) => {
      cause = error instanceof Error ? error : new Error('threw no error', { cause: error });
    });
    thread.once('exit', (code) => {
      resolve({ reason: cause === undefined ? `exited with code ${code}` : String(cause), cause });
    });
  });
  return { pool, thread, task: failed.promise, exited };
}
