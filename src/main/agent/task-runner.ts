/** What the agent needs of the controller threads; `pools/tasks.ts` is one. */
import type { SubscriptionMessage } from '../../shared/wire/gen/logbroker.ts';
import type { NodeDescription } from '../../shared/wire/gen/types.ts';

/** What the runner tells the agent. */
export interface RunnerEvents {
  /** New statuses, as encoded `TaskStatus`; `statuses[i]` of task `ids[i]`. */
  statuses(ids: readonly string[], statuses: readonly Uint8Array[]): void;
  /** Nothing of these tasks is left on this machine. */
  removed(ids: readonly string[]): void;
}

export interface TaskRunner {
  /** Encoded tasks with their stored status; known ones are updated. */
  assign(tasks: readonly Uint8Array[]): void;
  /** Stops these tasks and takes away what they left; then `removed`. */
  remove(ids: readonly string[]): void;
  /** Encoded secrets to hold, and ids to drop. */
  secrets(put: readonly Uint8Array[], drop: readonly string[]): void;
  configs(put: readonly Uint8Array[], drop: readonly string[]): void;
  /** A complete set of secrets and configs follows. */
  forgetDependencies(): void;
  /** Every task of this node has been assigned: anything else on the machine goes. */
  settle(): void;
  describe(): Promise<NodeDescription>;
  /**
   * Reads logs until they end or `signal` is aborted; `write` gets encoded `LogMessage`s and holds the
   * readers back until it resolves. Gives what could not be read.
   */
  readLogs(
    message: SubscriptionMessage,
    signal: AbortSignal,
    write: (records: readonly Uint8Array[]) => Promise<void>,
  ): Promise<readonly string[]>;
}
