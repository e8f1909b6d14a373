/**
 * What an executor offers to the tasks engine: it describes its machine, and makes a controller for
 * each task. One contract suite (contract.ts) holds for all of them.
 *
 * Every operation may be called again after a crash at any moment and must then find its own earlier
 * work: a task that was started is never started a second time.
 */
import type { Task } from '../../../shared/wire/gen/objects.ts';
import type {
  ContainerStatus,
  NodeDescription,
  PortStatus,
} from '../../../shared/wire/gen/types.ts';
import type { Timestamp } from '../../../shared/wire/gen/well-known.ts';
import type { Dependencies } from '../core/dependencies.ts';
import type { Cancellation } from './cancellation.ts';

/** Where the thread's news go: it has no logger of its own. */
export type ExecutorLog = {
  readonly warn: (fields: Readonly<Record<string, unknown>>, text: string) => void;
  readonly info: (fields: Readonly<Record<string, unknown>>, text: string) => void;
};

export type Executor = {
  /** Name under which the node advertises it: plugin type `Runtime`. */
  readonly runtime: string;
  /** What this machine is and has. Called before the first controller is made, and now and then. */
  readonly describe: () => Promise<NodeDescription>;
  /**
   * A controller for the task as assigned, with its stored status. Does no I/O.
   *
   * @throws when there can be none, e.g. a template that does not expand; the text goes to the user
   */
  readonly controller: (task: Task, dependencies: Dependencies) => Controller;
  /** Ids of this node's tasks of which the machine holds anything. */
  readonly leftovers: () => Promise<readonly string[]>;
  /** Ends and takes away all that the machine holds of a task that nobody knows any more. */
  readonly discard: (taskId: string) => Promise<void>;
  /** Lets go of connections and files; tasks go on running. */
  readonly close: () => Promise<void>;
};

/**
 * One task on its executor. At most one of `prepare`, `start`, `wait`, `shutdown`, `update` and
 * `remove` runs at a time; a cancelled one rejects with CancelledError and leaves the task as it is.
 *
 * Errors: TemporaryError (try again), ExitError (the task ended by itself), any other is fatal and its
 * message becomes the task's `err`.
 */
export type Controller = {
  /** The task as assigned anew; only what may change in a running task does. */
  readonly update: (task: Task) => Promise<void>;
  /** Everything that `start` needs. Done already is success. */
  readonly prepare: (cancellation: Cancellation) => Promise<void>;
  /** Resolves when the task runs (and is healthy, if it says how to tell), or has ended since. */
  readonly start: (cancellation: Cancellation) => Promise<void>;
  /** Resolves when the task has ended with code 0; any other end is an error. */
  readonly wait: (cancellation: Cancellation) => Promise<void>;
  /** Asks the task to end, and after its grace period makes it. Not started or ended is success. */
  readonly shutdown: (cancellation: Cancellation) => Promise<void>;
  /** Makes the task end at once. */
  readonly terminate: () => Promise<void>;
  /** Shuts the task down if need be, and takes away all that it left. Repeatable. */
  readonly remove: () => Promise<void>;
  /** Lets go of what the controller itself holds; the task goes on. */
  readonly close: () => void;
  /** The task's output. Rejects when this task has no log to read. */
  readonly logs: (options: LogOptions, signal: AbortSignal) => AsyncIterable<LogRecord>;
  readonly containerStatus: () => Promise<ContainerStatus | undefined>;
  readonly portStatus: () => Promise<PortStatus | undefined>;
};

export type LogOptions = {
  /** Go on with what is written later, until the task ends. */
  readonly follow: boolean;
  /** How many lines from the end at first; `all` for the whole log. */
  readonly tail: number | 'all';
  /** Only what was written at or after this time, in milliseconds; 0 for all. */
  readonly sinceMs: number;
  readonly stdout: boolean;
  readonly stderr: boolean;
};

/** A line, without its line end, or a piece of a very long one. */
export type LogRecord = {
  readonly stream: 'stdout' | 'stderr';
  readonly timestamp: Timestamp;
  readonly data: Uint8Array;
};

/** What an executor needs to know of the node it works for. */
export type ExecutorNode = {
  readonly nodeId: string;
  readonly hostname: string;
};
