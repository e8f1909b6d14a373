/** Controllers that do nothing but remember what they were told, in order. */
import type { Config, Secret } from '../../../shared/wire/gen/objects.ts';
import { Task } from '../../../shared/wire/gen/objects.ts';
import { LogMessage, type SubscriptionMessage } from '../../../shared/wire/gen/logbroker.ts';
import { NodeDescription } from '../../../shared/wire/gen/types.ts';
import type { Init } from '../../../shared/wire/runtime.ts';
import { TaskLogs } from '../../pools/task-logs.ts';
import type { StoredTask } from '../../pools/tasks.ts';
import type { AgentControllers } from '../agent.ts';

export class FakeControllers implements AgentControllers {
  /** `assign t1`, `secrets +s1 -s2`, `remove t1`, … */
  readonly told: string[] = [];
  /** As they were handed over, the newest of each id. */
  readonly tasks = new Map<string, Task>();
  description: Init<NodeDescription> = { hostname: 'machine' };
  /** Runs before a task is taken. */
  onAssign: (ids: readonly string[]) => void | Promise<void> = () => undefined;
  /** Hears what was taken, with the status that the node has stored. */
  onTaken: (tasks: readonly Task[]) => void | Promise<void> = () => undefined;
  onRemoved: (ids: readonly string[]) => void = () => undefined;
  /** The logs that were asked for, one thread each. */
  readonly opened: { readonly message: SubscriptionMessage; readonly logs: TaskLogs }[] = [];
  /** Subscriptions that ended. */
  readonly closed: string[] = [];

  async assign(tasks: readonly StoredTask[]): Promise<void> {
    await this.onAssign(tasks.map(({ id }) => id));
    this.told.push(`assign ${tasks.map(({ id }) => id).join(' ')}`);
    const taken = tasks.map(({ bytes }) => Task.decode(bytes));
    for (const task of taken) this.tasks.set(task.id, task);
    await this.onTaken(taken);
  }

  remove(ids: readonly string[]): void {
    this.told.push(`remove ${ids.join(' ')}`);
    for (const id of ids) this.tasks.delete(id);
    this.onRemoved(ids);
  }

  changeSecrets(put: readonly Secret[], drop: readonly string[]): void {
    this.told.push(
      `secrets ${[...put.map(({ id }) => `+${id}`), ...drop.map((id) => `-${id}`)].join(' ')}`,
    );
  }

  changeConfigs(put: readonly Config[], drop: readonly string[]): void {
    this.told.push(
      `configs ${[...put.map(({ id }) => `+${id}`), ...drop.map((id) => `-${id}`)].join(' ')}`,
    );
  }

  replaceDependencies(): void {
    this.told.push('replace');
  }

  async describe(): Promise<NodeDescription> {
    return NodeDescription.create(this.description);
  }

  logs(message: SubscriptionMessage): TaskLogs {
    const logs = new TaskLogs({
      message,
      threads: 1,
      credit: () => undefined,
      over: () => void this.closed.push(message.id),
    });
    this.opened.push({ message, logs });
    return logs;
  }
}

/** A line of a task's log, as a controller thread hands it over. */
export const logLine = (nodeId: string, text: string): Uint8Array =>
  LogMessage.encode(
    LogMessage.create({ context: { nodeId, taskId: 't' }, data: Buffer.from(text) }),
  );
