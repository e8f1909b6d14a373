/**
 * What one node has been told, and what it must be told next (behaviour rule 5.5).
 *
 * A node is sent its tasks from ASSIGNED on, with the secrets and configs that they name. Changes are
 * only marked here; `take` turns the marks into one message's worth. The first take is the complete
 * set, however large: a node removes whatever it runs that is not in it, so that it cannot be sent in
 * pieces.
 */
import type { TaskRow } from '../../store/view.ts';
import { TaskState } from '../../../shared/wire/gen/types.ts';

/** A secret or a config, as tasks refer to it. */
export type Dependency = { readonly kind: 'secret' | 'config'; readonly id: string };

/** What a message carries: ids; the shell looks up and writes the objects. */
export type Delta = {
  readonly complete: boolean;
  readonly dependencies: readonly Dependency[];
  readonly tasks: readonly string[];
  readonly removedTasks: readonly string[];
  readonly releasedDependencies: readonly Dependency[];
};

const NONE: readonly Dependency[] = [];

/** The secrets and configs that a task's spec names, each once. */
export function dependenciesOf(row: Pick<TaskRow, 'shared'>): readonly Dependency[] {
  const { spec } = row.shared();
  const { runtime, resourceReferences } = spec;
  const isNeedy =
    resourceReferences.length > 0 ||
    (runtime?.case === 'container' &&
      runtime.value.secrets.length + runtime.value.configs.length > 0);
  if (!isNeedy) return NONE;
  const found = new Map<string, Dependency>();
  const add = (kind: Dependency['kind'], id: string): void => {
    found.set(`${kind}/${id}`, { kind, id });
  };
  if (spec.runtime?.case === 'container') {
    spec.runtime.value.secrets.forEach((s) => add('secret', s.secretId));
    spec.runtime.value.configs.forEach((c) => add('config', c.configId));
  }
  for (const reference of spec.resourceReferences) {
    if (reference.resourceType === 1) add('secret', reference.resourceId);
    if (reference.resourceType === 2) add('config', reference.resourceId);
  }
  return [...found.values()];
}

/** Whether a committed change of a task must reach its node. */
export function mustSend(old: TaskRow, row: TaskRow): boolean {
  if (row.state < TaskState.ASSIGNED) return false;
  return (
    row.state <= TaskState.ASSIGNED ||
    old.desiredState !== row.desiredState ||
    old.state < TaskState.ASSIGNED ||
    !row.sameBody(old)
  );
}

export class NodeAssignments {
  /** Tasks that the node knows of. */
  readonly #known = new Set<string>();
  /** What each of them needs, unless that is nothing or the task has ended. */
  readonly #needs = new Map<string, readonly Dependency[]>();
  /** Users of each dependency that the node holds. */
  readonly #users = new Map<
    string,
    { readonly dependency: Dependency; readonly tasks: Set<string> }
  >();
  /** Whether to send the task, or only to look whether it has ended. */
  readonly #changed = new Map<string, 'send' | 'look'>();
  readonly #removed = new Set<string>();
  #complete = true;

  /** Marks a task whose change the node must see. */
  change(taskId: string): void {
    this.#removed.delete(taskId);
    this.#changed.set(taskId, 'send');
  }

  /** Marks a task that is no longer in the store. */
  remove(taskId: string): void {
    this.#changed.delete(taskId);
    if (this.#known.has(taskId)) this.#removed.add(taskId);
  }

  /** Marks a task that has ended: the node may drop what only it needed. */
  end(taskId: string): void {
    if (this.#needs.has(taskId) && !this.#changed.has(taskId)) this.#changed.set(taskId, 'look');
  }

  get pending(): boolean {
    return this.#complete || this.#changed.size > 0 || this.#removed.size > 0;
  }

  /**
   * What to send now; undefined when the marks come to nothing. `get` reads the committed tasks. After
   * the first time at most `changesMax` changed tasks are taken, those marked first; the rest stay.
   */
  take(get: (taskId: string) => TaskRow | undefined, changesMax = Infinity): Delta | undefined {
    const complete = this.#complete;
    let left = complete ? Infinity : changesMax;
    const dependencies: Dependency[] = [];
    const released: Dependency[] = [];
    const tasks: string[] = [];
    for (const [taskId, what] of this.#changed) {
      if (left === 0) break;
      left -= 1;
      this.#changed.delete(taskId);
      const row = get(taskId);
      if (row === undefined) {
        if (this.#known.has(taskId)) this.#removed.add(taskId);
        continue;
      }
      const ended = row.state > TaskState.RUNNING;
      const needed = ended ? NONE : dependenciesOf(row);
      if (!ended) dependencies.push(...this.#hold(taskId, needed));
      else released.push(...this.#release(taskId));
      if (what === 'send') tasks.push(taskId);
      this.#known.add(taskId);
      if (needed.length > 0) this.#needs.set(taskId, needed);
    }
    for (const taskId of this.#removed) {
      released.push(...this.#release(taskId));
      this.#known.delete(taskId);
    }
    const removedTasks = [...this.#removed];
    this.#removed.clear();
    this.#complete = false;
    const releasedDependencies = released.filter((d) => !this.#users.has(`${d.kind}/${d.id}`));
    const size =
      dependencies.length + tasks.length + removedTasks.length + releasedDependencies.length;
    if (!complete && size === 0) return undefined;
    return { complete, dependencies, tasks, removedTasks, releasedDependencies };
  }

  /** Counts a task as user of what it needs; gives what the node does not hold yet. */
  #hold(taskId: string, needed: readonly Dependency[]): Dependency[] {
    const fresh: Dependency[] = [];
    for (const dependency of needed) {
      const key = `${dependency.kind}/${dependency.id}`;
      const held = this.#users.get(key);
      if (held !== undefined) {
        held.tasks.add(taskId);
        continue;
      }
      this.#users.set(key, { dependency, tasks: new Set([taskId]) });
      fresh.push(dependency);
    }
    return fresh;
  }

  /** Ends a task's use; gives what nobody on the node uses any more. */
  #release(taskId: string): Dependency[] {
    const free: Dependency[] = [];
    for (const dependency of this.#needs.get(taskId) ?? NONE) {
      const key = `${dependency.kind}/${dependency.id}`;
      const held = this.#users.get(key);
      if (held === undefined || !held.tasks.delete(taskId) || held.tasks.size > 0) continue;
      this.#users.delete(key);
      free.push(dependency);
    }
    this.#needs.delete(taskId);
    return free;
  }
}
