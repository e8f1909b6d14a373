/**
 * What the main thread and a controller thread say to each other.
 *
 * Tasks, secrets, configs, statuses and log messages cross as protobuf bytes, as they came from the
 * manager and go back to it; the thread decodes. Each task belongs to one thread (`threadOf`).
 *
 * A fresh thread is told of everything at once: `secrets` and `configs`, `assign` of every task with
 * its newest status, `settle`; and of removals that were under way. It adopts what its tasks left
 * running, and says everything again that it finds changed.
 */

/** Which runtime a worker has, and how it is set up. */
export type ExecutorChoice =
  | {
      readonly kind: 'docker';
      /** The engine's socket; undefined for the usual one. */
      readonly socketPath: string | undefined;
      /** When an image is pulled: when the engine does not have it, or before every task. */
      readonly pull: 'missing' | 'always';
    }
  | {
      readonly kind: 'process';
      /** Where tasks keep their records, logs and working directories. */
      readonly stateDir: string;
    }
  | {
      readonly kind: 'simulated';
      readonly seed: number;
      readonly nanoCpus?: number;
      readonly memoryBytes?: number;
      /** Delays in milliseconds, as `[least, most]`, and shares from 0 to 1: see the executor's plan. */
      readonly plan?: Readonly<Record<string, number | readonly [number, number]>>;
    };

/** What every controller thread is started with. */
export type TaskThreadData = {
  readonly nodeId: string;
  readonly hostname: string;
  /** Labels of the engine, as the worker's own configuration gives them. */
  readonly labels: readonly (readonly [key: string, value: string])[];
  readonly executor: ExecutorChoice;
  /** How many threads share the node's tasks. */
  readonly threads: number;
};

export type ToTasks =
  /** Tasks as `docker.swarmkit.v1.Task` with their stored status: new ones, or assigned anew. */
  | { readonly t: 'assign'; readonly tasks: readonly Uint8Array[] }
  /** These tasks are no longer this node's: stop them and take away what they left. */
  | { readonly t: 'remove'; readonly ids: readonly string[] }
  | { readonly t: 'secrets'; readonly put: readonly Uint8Array[]; readonly drop: readonly string[] }
  | { readonly t: 'configs'; readonly put: readonly Uint8Array[]; readonly drop: readonly string[] }
  /** All secrets and configs there were are void: a complete set follows. */
  | { readonly t: 'forgetDependencies' }
  /** Every task of this node was assigned: what the machine holds of others is to be removed. */
  | { readonly t: 'settle' }
  /** Answered with `described`. */
  | { readonly t: 'describe' }
  /** Read logs: a `docker.swarmkit.v1.SubscriptionMessage`. */
  | { readonly t: 'logs'; readonly subscription: number; readonly message: Uint8Array }
  /** So many more bytes of log messages may be sent. */
  | { readonly t: 'logCredit'; readonly subscription: number; readonly bytes: number }
  | { readonly t: 'logsClose'; readonly subscription: number };

export type FromTasks =
  /** New statuses as `docker.swarmkit.v1.TaskStatus`, `statuses[i]` of `ids[i]`; the newest of each. */
  | {
      readonly t: 'statuses';
      readonly ids: readonly string[];
      readonly statuses: readonly Uint8Array[];
    }
  /** Nothing of these tasks is left. */
  | { readonly t: 'removed'; readonly ids: readonly string[] }
  /** A `docker.swarmkit.v1.NodeDescription`; or why there is none. */
  | { readonly t: 'described'; readonly description: Uint8Array; readonly error: string }
  /** `docker.swarmkit.v1.LogMessage`s. */
  | {
      readonly t: 'logRecords';
      readonly subscription: number;
      readonly records: readonly Uint8Array[];
    }
  /** All readers of a subscription have ended; with the words of those that could not read. */
  | { readonly t: 'logsEnd'; readonly subscription: number; readonly errors: readonly string[] }
  | {
      readonly t: 'said';
      readonly level: 'info' | 'warn';
      readonly text: string;
      readonly fields: ReadonlyMap<string, unknown>;
    };

/** Log bytes that a thread may send of a subscription before it gets credit. */
export const LOG_CREDIT_BYTES = 1 << 18;

/** The thread, from 0, that a task belongs to. */
export function threadOf(taskId: string, threads: number): number {
  let sum = 0;
  for (let at = 0; at < taskId.length; at += 1) {
    sum = Math.imul(sum ^ taskId.charCodeAt(at), 0x01000193) ^ (sum >>> 15);
  }
  return (sum >>> 0) % threads;
}
