/**
 * Applies assignments to this node: secrets and configs first, then tasks (behaviour rule 11.2). A
 * task is handed to its controller only when it stands in the database, so that a restart finds it.
 */
import {
  AssignmentChangeAssignmentAction,
  AssignmentsMessageType,
  type AssignmentsMessage,
} from '../../shared/wire/gen/dispatcher.ts';
import { Config, Secret, Task } from '../../shared/wire/gen/objects.ts';
import type { TaskDatabase } from './task-database.ts';
import type { TaskRunner } from './task-runner.ts';

/** A message does not follow the one before: the stream must be opened anew. */
export class AssignmentGap extends Error {
  override readonly name = 'AssignmentGap';
}

type Sorted = {
  readonly tasks: Task[];
  readonly removedTasks: string[];
  readonly secrets: Uint8Array[];
  readonly droppedSecrets: string[];
  readonly configs: Uint8Array[];
  readonly droppedConfigs: string[];
};

function sort(message: AssignmentsMessage): Sorted {
  const sorted: Sorted = {
    tasks: [],
    removedTasks: [],
    secrets: [],
    droppedSecrets: [],
    configs: [],
    droppedConfigs: [],
  };
  for (const { assignment, action } of message.changes) {
    const item = assignment?.item;
    const remove = action === AssignmentChangeAssignmentAction.REMOVE;
    switch (item?.case) {
      case 'task':
        if (remove) sorted.removedTasks.push(item.value.id);
        else sorted.tasks.push(item.value);
        break;
      case 'secret':
        if (remove) sorted.droppedSecrets.push(item.value.id);
        else sorted.secrets.push(Secret.encode(item.value));
        break;
      case 'config':
        if (remove) sorted.droppedConfigs.push(item.value.id);
        else sorted.configs.push(Config.encode(item.value));
        break;
      case 'volume':
      case undefined:
        break;
    }
  }
  return sorted;
}

export class Assignments {
  readonly #database: TaskDatabase;
  readonly #runner: TaskRunner;
  /** Tasks that are being taken away: they are no longer in the database. */
  readonly #onRemove: (taskId: string) => void;
  #last = '';
  #settled = false;

  constructor(database: TaskDatabase, runner: TaskRunner, onRemove: (taskId: string) => void) {
    this.#database = database;
    this.#runner = runner;
    this.#onRemove = onRemove;
  }

  /** Hands the stored tasks to their controllers, at the start of the worker. */
  resume(): void {
    const tasks = this.#database.ids().flatMap((id) => this.#database.get(id) ?? []);
    this.#runner.assign(tasks);
  }

  /** A new stream begins: the first message is complete. */
  open(): void {
    this.#last = '';
  }

  /** @throws AssignmentGap before anything was applied */
  async apply(message: AssignmentsMessage): Promise<void> {
    if (message.appliesTo !== this.#last) {
      throw new AssignmentGap(`assignments apply to "${message.appliesTo}", not "${this.#last}"`);
    }
    this.#last = message.resultsIn;
    const complete = message.type === AssignmentsMessageType.COMPLETE;
    const sorted = sort(message);
    if (complete) {
      this.#runner.forgetDependencies();
      const named = new Set(sorted.tasks.map((task) => task.id));
      sorted.removedTasks.push(...this.#database.ids().filter((id) => !named.has(id)));
    }
    this.#runner.secrets(sorted.secrets, sorted.droppedSecrets);
    this.#runner.configs(sorted.configs, sorted.droppedConfigs);
    await this.#database.assign(sorted.tasks);
    const stored = sorted.tasks.map((task) => this.#database.get(task.id) ?? Task.encode(task));
    if (stored.length > 0) this.#runner.assign(stored);
    await this.#remove(sorted.removedTasks);
    if (complete && !this.#settled) {
      this.#settled = true;
      this.#runner.settle();
    }
  }

  async #remove(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    for (const id of ids) this.#onRemove(id);
    await this.#database.remove(ids);
    this.#runner.remove(ids);
  }

  /** The node leaves: every task ends and is taken away. Gives their ids. */
  async leave(): Promise<string[]> {
    const ids = this.#database.ids();
    await this.#remove(ids);
    return ids;
  }
}
