/**
 * Applies assignments to this node: secrets and configs first, then tasks (behaviour rule 11.2). A
 * task is handed to its controller only when it stands in the database, so that a restart finds it.
 */
import {
  AssignmentChangeAssignmentAction,
  AssignmentsMessageType,
  type AssignmentsMessage,
} from '../../shared/wire/gen/dispatcher.ts';
import { Task, type Config, type Secret } from '../../shared/wire/gen/objects.ts';
import type { TaskPool } from '../pools/tasks.ts';
import type { Dependencies } from './dependencies.ts';
import type { TaskStorage } from './task-database.ts';

/** A message does not follow the one before: the stream must be opened anew. */
export class AssignmentGap extends Error {
  override readonly name = 'AssignmentGap';
}

const nothing = (): void => undefined;

type Sorted = {
  readonly tasks: Task[];
  readonly removedTasks: string[];
  readonly secrets: Secret[];
  readonly droppedSecrets: string[];
  readonly configs: Config[];
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
        else sorted.secrets.push(item.value);
        break;
      case 'config':
        if (remove) sorted.droppedConfigs.push(item.value.id);
        else sorted.configs.push(item.value);
        break;
      case 'volume':
      case undefined:
        break;
    }
  }
  return sorted;
}

/** What assignments need of the controller threads. */
export type Controllers = Pick<
  TaskPool,
  'assign' | 'remove' | 'changeSecrets' | 'changeConfigs' | 'replaceDependencies'
>;

export class Assignments {
  readonly #database: TaskStorage;
  readonly #dependencies: Dependencies;
  readonly #controllers: Controllers;
  readonly #onRemove: (taskId: string) => void;
  #last = '';
  #left = false;
  /** A session that has ended may still be applying its last message: one after the other. */
  #turn: Promise<void> = Promise.resolve();

  /** `onRemove` hears of each task that is no longer this node's. */
  constructor(
    database: TaskStorage,
    dependencies: Dependencies,
    controllers: Controllers,
    onRemove: (taskId: string) => void,
  ) {
    this.#database = database;
    this.#dependencies = dependencies;
    this.#controllers = controllers;
    this.#onRemove = onRemove;
  }

  /** A new stream begins: the first message is complete. */
  open(): void {
    this.#last = '';
  }

  /**
   * Applies a message, after those before it; none once this node leaves.
   *
   * @throws AssignmentGap before anything was applied
   */
  apply(message: AssignmentsMessage): Promise<void> {
    return this.#next(() => this.#apply(message));
  }

  #next(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(work);
    this.#turn = done.then(nothing, nothing); // whoever asked for the work hears of its failure
    return done;
  }

  async #apply(message: AssignmentsMessage): Promise<void> {
    if (this.#left) return;
    if (message.appliesTo !== this.#last) {
      throw new AssignmentGap(`assignments apply to "${message.appliesTo}", not "${this.#last}"`);
    }
    this.#last = message.resultsIn;
    const complete = message.type === AssignmentsMessageType.COMPLETE;
    const sorted = sort(message);
    this.#applyDependencies(sorted, complete);
    if (complete) {
      const named = new Set(sorted.tasks.map((task) => task.id));
      sorted.removedTasks.push(...this.#database.ids().filter((id) => !named.has(id)));
    }
    await this.#database.assign(sorted.tasks);
    const stored = sorted.tasks.map(({ id, ...rest }) => {
      const bytes = this.#database.get(id) ?? Task.encode({ id, ...rest });
      return { id, bytes };
    });
    if (stored.length > 0) await this.#controllers.assign(stored);
    await this.#remove(sorted.removedTasks);
  }

  #applyDependencies(sorted: Sorted, complete: boolean): void {
    const { secrets, droppedSecrets, configs, droppedConfigs } = sorted;
    if (complete) this.#dependencies.clear();
    this.#dependencies.changeSecrets(secrets, droppedSecrets);
    this.#dependencies.changeConfigs(configs, droppedConfigs);
    if (complete) {
      this.#controllers.replaceDependencies();
      return;
    }
    if (secrets.length + droppedSecrets.length > 0) {
      this.#controllers.changeSecrets(secrets, droppedSecrets);
    }
    if (configs.length + droppedConfigs.length > 0) {
      this.#controllers.changeConfigs(configs, droppedConfigs);
    }
  }

  async #remove(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    for (const id of ids) this.#onRemove(id);
    await this.#database.remove(ids);
    this.#controllers.remove(ids);
  }

  /** The node leaves: every task ends and is taken away, and no other is taken on. */
  leave(): Promise<void> {
    return this.#next(async () => {
      this.#left = true;
      await this.#remove(this.#database.ids());
    });
  }
}
