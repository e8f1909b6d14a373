/**
 * Tasks that only take time: for load and for simulation. No I/O, no timer of their own (they share
 * the engine's agenda), and a few hundred bytes each, so that a million of them is cheap.
 *
 * A task's luck is a function of the executor's seed, its id and the question: it is the same
 * whatever else happens, and on whichever thread.
 */
import type { Task } from '../../../../shared/wire/gen/objects.ts';
import { RUNTIME_PLUGIN } from '../../../../shared/lanes/placement.ts';
import { millisOf } from '../../../../shared/model/time.ts';
import { NodeDescription, TaskState } from '../../../../shared/wire/gen/types.ts';
import type { Agenda, Appointment } from '../../core/agenda.ts';
import type { Cancellation } from '../cancellation.ts';
import { CancelledError, ExitError, FatalError } from '../errors.ts';
import type { Controller, Executor, ExecutorNode, LogRecord } from '../executor.ts';
import { DEFAULT_PLAN, planFor, type SimulatedPlan, type Span } from './plan.ts';

export type SimulatedOptions = {
  readonly seed?: number;
  readonly plan?: Partial<SimulatedPlan>;
  readonly nanoCpus?: number;
  readonly memoryBytes?: number;
  readonly labels?: Readonly<Record<string, string>>;
};

/** The engine's time: real in a thread, virtual in a simulation. */
export type Clock = { readonly agenda: Agenda; readonly nowMs: () => number };

export function simulatedExecutor(
  node: ExecutorNode,
  clock: Clock,
  options: SimulatedOptions = {},
): Executor {
  const plan: SimulatedPlan = { ...DEFAULT_PLAN, ...options.plan };
  const seed = options.seed ?? 1;
  const description = NodeDescription.create({
    hostname: node.hostname,
    platform: { architecture: 'x86_64', os: 'linux' },
    resources: {
      nanoCpus: options.nanoCpus ?? 64e9,
      memoryBytes: options.memoryBytes ?? 256 * 2 ** 30,
    },
    engine: {
      engineVersion: 'simulated',
      labels: { ...options.labels },
      plugins: [
        { type: RUNTIME_PLUGIN, name: 'simulated' },
        ...['overlay', 'host', 'bridge'].map((name) => ({ type: 'Network', name })),
        { type: 'Volume', name: 'local' },
      ],
    },
  });
  return {
    runtime: 'simulated',
    describe: () => Promise.resolve(description),
    controller: (task) => new SimulatedController(task, { clock, seed, plan: planFor(plan, task) }),
    leftovers: () => Promise.resolve([]),
    discard: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/** Which of a task's draws. */
const DRAW = { prepare: 1, start: 2, run: 3, stop: 4, reject: 5, fail: 6 } as const;

const DONE = Promise.resolve();

class SimulatedController implements Controller {
  readonly #clock: Clock;
  readonly #plan: SimulatedPlan;
  /** Stands for the seed and the task's id. */
  readonly #luck: number;
  /** When it ends by itself; undefined before its start, Infinity for never. */
  #endsAtMs: number | undefined;
  #stopped = false;
  /** Ends a wait early. */
  #wake: (() => void) | undefined;

  constructor(
    task: Task,
    {
      clock,
      plan,
      seed,
    }: { readonly clock: Clock; readonly plan: SimulatedPlan; readonly seed: number },
  ) {
    this.#clock = clock;
    this.#plan = plan;
    this.#luck = mix(seed ^ hash(task.id));
    // Taken over from another thread: it has run on since it was last heard of.
    if (task.status.state === TaskState.RUNNING) this.#run(millisOf(task.status.timestamp));
  }

  update(): Promise<void> {
    return DONE;
  }

  prepare(cancellation: Cancellation): Promise<void> {
    if (this.#draw(DRAW.reject) < this.#plan.rejectRate) {
      return Promise.reject(new FatalError('simulated: rejected by its plan'));
    }
    return this.#after(this.#time(this.#plan.prepareMs, DRAW.prepare), cancellation);
  }

  start(cancellation: Cancellation): Promise<void> {
    if (this.#endsAtMs !== undefined) return DONE;
    const delayMs = this.#time(this.#plan.startMs, DRAW.start);
    if (delayMs === 0) {
      this.#run(this.#clock.nowMs());
      return DONE;
    }
    return this.#after(delayMs, cancellation).then(() => this.#run(this.#clock.nowMs()));
  }

  wait(cancellation: Cancellation): Promise<void> {
    const endsAtMs = this.#endsAtMs ?? 0;
    const leftMs = this.#stopped ? 0 : Math.max(0, endsAtMs - this.#clock.nowMs());
    return this.#after(leftMs, cancellation).then(() => this.#end());
  }

  shutdown(cancellation: Cancellation): Promise<void> {
    if (this.#stopped || this.#endsAtMs === undefined || this.#ended()) {
      this.#stop();
      return DONE;
    }
    const stopMs = this.#time(this.#plan.stopMs, DRAW.stop);
    return this.#after(stopMs, cancellation).then(() => this.#stop());
  }

  terminate(): Promise<void> {
    this.#stop();
    return DONE;
  }

  remove(): Promise<void> {
    this.#stop();
    return DONE;
  }

  close(): void {
    // Holds nothing.
  }

  async *logs(): AsyncGenerator<LogRecord> {
    // Says nothing.
  }

  containerStatus(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  portStatus(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  #run(sinceMs: number): void {
    const { runMs, failRate } = this.#plan;
    const fails = this.#draw(DRAW.fail) < failRate;
    const time = runMs ?? (fails ? FAILS_WITHIN_MS : undefined);
    this.#endsAtMs = time === undefined ? Infinity : sinceMs + this.#time(time, DRAW.run);
  }

  #stop(): void {
    // One that has ended by itself keeps its own end.
    if (!this.#ended()) this.#stopped = true;
    this.#wake?.();
  }

  #ended(): boolean {
    return this.#endsAtMs !== undefined && this.#endsAtMs <= this.#clock.nowMs();
  }

  #end(): void {
    if (this.#stopped) throw new ExitError(137);
    const exitCode = this.#draw(DRAW.fail) < this.#plan.failRate ? 1 : this.#plan.exitCode;
    if (exitCode !== 0) throw new ExitError(exitCode);
  }

  #after(delayMs: number, cancellation: Cancellation): Promise<void> {
    if (cancellation.cancelled) return Promise.reject(new CancelledError());
    if (delayMs === 0) return DONE;
    return new Promise((resolve, reject) => {
      this.#wake = resolve;
      let entry: Appointment | undefined;
      if (delayMs !== Infinity) {
        entry = this.#clock.agenda.at(this.#clock.nowMs() + delayMs, resolve);
      }
      cancellation.onCancel(() => {
        if (entry !== undefined) this.#clock.agenda.cancel(entry);
        reject(new CancelledError());
      });
    });
  }

  #time([least, most]: Span, which: number): number {
    return Math.round(least + (most - least) * this.#draw(which));
  }

  /** From 0 up to, not including, 1. */
  #draw(which: number): number {
    return mix(this.#luck + Math.imul(which, 0x9e3779b9)) / 0x1_0000_0000;
  }
}

/** A failing task without a run time of its own fails some time within its first ten seconds. */
const FAILS_WITHIN_MS: Span = [0, 10_000];

function hash(text: string): number {
  let sum = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1)
    sum = Math.imul(sum ^ text.charCodeAt(at), 0x01000193);
  return sum;
}

/** 32 bits in, 32 well-spread bits out (the finaliser of MurmurHash3). */
function mix(value: number): number {
  let bits = value | 0;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
