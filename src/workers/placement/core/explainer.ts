/**
 * Tells waiting tasks why they wait: once, and again when the reason changed. The counts of a shape
 * need a look at every node, so they are made up anew at most once a second for each shape, and for
 * a bounded number of nodes a turn. Shapes for which the answer must be the same share it.
 */
import type { Explanation } from '../../../shared/lanes/placement.ts';
import { FILTERS } from '../../../shared/lanes/placement.ts';
import { Int32List } from '../../../shared/kit/columns.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { explanation, noSuitableNode } from './explain.ts';
import { PASSES } from './filters.ts';
import type { NodeTable } from './node-table.ts';
import type { Pools } from './pools.ts';
import type { Search } from './search.ts';
import type { Shapes } from './shapes.ts';
import type { TaskTable } from './task-table.ts';

const AGAIN_AFTER_MS = 1_000;
const NODES_PER_TURN_MAX = 2_000_000;

export type Explained = {
  readonly explanations: readonly Explanation[];
  /** Whether the bound on the work of a turn left some for the next. */
  readonly hasMore: boolean;
  /** When a text that may have changed is due, or undefined. */
  readonly wakeAtMs: number | undefined;
};

/** Why no node can take a task: the text, and the nodes that each filter refused. */
type Reason = { readonly text: string; readonly counts: Int32Array };

/** What the user was told about a shape's waiting tasks. */
type Told = {
  reason: Reason;
  /** Counts the texts; a task that was told the current one carries this number. 0 before any. */
  id: number;
  /** When the text was last made up, and the version of the nodes it was made from. */
  atMs: number;
  version: number;
  /** Whether some waiting task was not told the current text. */
  isDue: boolean;
};

const NOTHING_DUE: Explained = { explanations: [], hasMore: false, wakeAtMs: undefined };

const NO_REASON: Reason = { text: '', counts: new Int32Array(0) };

export class Explainer {
  readonly #nodes: NodeTable;
  readonly #pools: Pools;
  readonly #tasks: TaskTable;
  readonly #shapes: Shapes;
  readonly #search: Search;
  /** By shape, for those that were told something. */
  readonly #told = new Map<number, Told>();
  /** Reasons that do not depend on the service, and the version of the nodes that they were made of. */
  #shared = new Map<CompiledProfile, Reason>();
  #sharedVersion = -1;

  constructor(state: {
    readonly nodes: NodeTable;
    readonly pools: Pools;
    readonly tasks: TaskTable;
    readonly shapes: Shapes;
    readonly search: Search;
  }) {
    this.#nodes = state.nodes;
    this.#pools = state.pools;
    this.#tasks = state.tasks;
    this.#shapes = state.shapes;
    this.#search = state.search;
  }

  /** Tasks of the shapes begin to wait: they were told nothing. */
  waits(shapes: Int32Array): void {
    if (this.#told.size === 0) return;
    for (const shape of shapes) {
      const told = this.#told.get(shape);
      if (told !== undefined) told.isDue = true;
    }
  }

  forgetShape(shape: number): void {
    this.#told.delete(shape);
  }

  /** Explains what is due for the given shapes, which wait because no node can take their tasks. */
  explain(shapes: Int32List, nowMs: number): Explained {
    if (shapes.length === 0) return NOTHING_DUE;
    const telling = new Telling();
    let nodesLeft = NODES_PER_TURN_MAX;
    let hasMore = false;
    let wakeAtMs = Infinity;
    for (let i = 0; i < shapes.length; i++) {
      const shape = shapes.at(i);
      const told = this.#toldTo(shape);
      if (told.version !== this.#nodes.version) {
        const dueAtMs = told.atMs + AGAIN_AFTER_MS;
        if (nowMs < dueAtMs) wakeAtMs = Math.min(wakeAtMs, dueAtMs);
        else if (nodesLeft > 0) nodesLeft -= this.#renew(shape, told, nowMs);
        else hasMore = true;
      }
      if (told.isDue && told.id > 0) this.#tell(shape, told, telling);
    }
    const explanations = telling.explanations();
    return { explanations, hasMore, wakeAtMs: wakeAtMs === Infinity ? undefined : wakeAtMs };
  }

  /** Explains, unless it was said before, why the given node cannot take a task. */
  tellPreset(task: number, failure: number, explanations: Explanation[]): void {
    if (this.#tasks.told(task) === failure + 1) return;
    this.#tasks.setTold(task, failure + 1);
    const counts = new Int32Array(FILTERS.length);
    counts[failure] = 1;
    const { runtime } = this.#shapes.profile(this.#tasks.shape(task));
    explanations.push({ tasks: Int32Array.of(task), text: explanation(counts, runtime), counts });
  }

  #toldTo(shape: number): Told {
    const known = this.#told.get(shape);
    if (known !== undefined) return known;
    const told = { reason: NO_REASON, id: 0, atMs: -Infinity, version: -1, isDue: true };
    this.#told.set(shape, told);
    return told;
  }

  /** @returns at how many nodes it had to look */
  #renew(shape: number, told: Told, nowMs: number): number {
    const { reason, looked } = this.#reason(shape);
    told.atMs = nowMs;
    told.version = this.#nodes.version;
    if (told.id === 0 || reason.text !== told.reason.text) {
      told.id++;
      told.isDue = true;
    }
    told.reason = reason;
    return looked;
  }

  #reason(shape: number): { readonly reason: Reason; readonly looked: number } {
    const profile = this.#shapes.profile(shape);
    if (this.#sharedVersion !== this.#nodes.version) {
      this.#shared = new Map();
      this.#sharedVersion = this.#nodes.version;
    }
    const shared = this.#shared.get(profile);
    if (shared !== undefined) return { reason: shared, looked: 0 };
    const counts = this.#counts(shape, profile);
    const reason = { text: noSuitableNode(counts, profile.runtime), counts };
    if (profile.replicasMax === Infinity) this.#shared.set(profile, reason);
    return { reason, looked: Math.max(1, this.#nodes.size) };
  }

  #counts(shape: number, profile: CompiledProfile): Int32Array {
    const counts = new Int32Array(FILTERS.length);
    const pool = this.#pools.get(profile);
    for (let node = 0; node < this.#nodes.size; node++) {
      if (this.#nodes.facts(node) === undefined) continue;
      const failure = this.#search.failureOf(shape, node, pool);
      if (failure !== PASSES) counts[failure] = (counts[failure] ?? 0) + 1;
    }
    return counts;
  }

  /** Tells all waiting tasks of the shape that do not know the current text. */
  #tell(shape: number, told: Told, telling: Telling): void {
    const tasks = this.#tasks;
    for (let task = tasks.first(this.#shapes.queue(shape)); task >= 0; task = tasks.next(task)) {
      if (tasks.told(task) === told.id) continue;
      tasks.setTold(task, told.id);
      telling.add(task, told.reason);
    }
    told.isDue = false;
  }
}

/** What is told in a turn: tasks with one reason together, as long as they come in a row. */
class Telling {
  readonly #told: Explanation[] = [];
  readonly #tasks = new Int32List();
  #reason = NO_REASON;

  add(task: number, reason: Reason): void {
    if (reason !== this.#reason) this.#close();
    this.#reason = reason;
    this.#tasks.push(task);
  }

  explanations(): readonly Explanation[] {
    this.#close();
    return this.#told;
  }

  #close(): void {
    if (this.#tasks.length === 0) return;
    this.#told.push({ tasks: this.#tasks.copy(), ...this.#reason });
    this.#tasks.clear();
  }
}
