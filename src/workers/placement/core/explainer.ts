/**
 * Tells waiting tasks why they wait: once, and again when the reason changed. The counts of a shape
 * need a look at every node, so they are made up anew at most once a second for each shape, and for
 * a bounded number of nodes a turn.
 */
import type { Explanation } from '../../../shared/lanes/placement.ts';
import { FILTERS } from '../../../shared/lanes/placement.ts';
import { Int32List } from '../../../shared/kit/columns.ts';
import { explanation, noSuitableNode } from './explain.ts';
import { PASSES } from './filters.ts';
import type { NodeTable } from './node-table.ts';
import type { Pools } from './pools.ts';
import type { Search } from './search.ts';
import type { Shape, Shapes } from './shapes.ts';
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

export class Explainer {
  readonly #nodes: NodeTable;
  readonly #pools: Pools;
  readonly #tasks: TaskTable;
  readonly #shapes: Shapes;
  readonly #search: Search;

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

  /** Explains what is due for the shapes that wait because no node can take their tasks. */
  explain(shapes: readonly Shape[], nowMs: number): Explained {
    const explanations: Explanation[] = [];
    let nodesLeft = NODES_PER_TURN_MAX;
    let hasMore = false;
    let wakeAtMs = Infinity;
    for (const shape of shapes) {
      if (shape.exhaustedAt < 0) continue;
      const { told } = shape;
      if (told.version !== this.#nodes.version) {
        const dueAtMs = told.atMs + AGAIN_AFTER_MS;
        if (nowMs < dueAtMs) {
          wakeAtMs = Math.min(wakeAtMs, dueAtMs);
        } else if (nodesLeft <= 0) {
          hasMore = true;
        } else {
          nodesLeft -= Math.max(1, this.#nodes.size);
          this.#renew(shape, nowMs);
        }
      }
      if (told.isDue && told.id > 0) explanations.push(this.#tell(shape));
    }
    return { explanations, hasMore, wakeAtMs: wakeAtMs === Infinity ? undefined : wakeAtMs };
  }

  /** Explains, unless it was said before, why the given node cannot take a task. */
  tellPreset(task: number, failure: number, explanations: Explanation[]): void {
    if (this.#tasks.told(task) === failure + 1) return;
    this.#tasks.setTold(task, failure + 1);
    const counts = new Int32Array(FILTERS.length);
    counts[failure] = 1;
    const { profile } = this.#shapes.get(this.#tasks.shape(task));
    const text = explanation(counts, profile.runtime);
    explanations.push({ tasks: Int32Array.of(task), text, counts });
  }

  #renew(shape: Shape, nowMs: number): void {
    const { told } = shape;
    told.counts = this.#counts(shape);
    told.atMs = nowMs;
    told.version = this.#nodes.version;
    const text = noSuitableNode(told.counts, shape.profile.runtime);
    if (told.id > 0 && text === told.text) return;
    told.text = text;
    told.id++;
    told.isDue = true;
  }

  #counts(shape: Shape): Int32Array {
    const counts = new Int32Array(FILTERS.length);
    const pool = this.#pools.get(shape.profile);
    for (let node = 0; node < this.#nodes.size; node++) {
      if (this.#nodes.facts(node) === undefined) continue;
      const failure = this.#search.failureOf(shape, node, pool);
      if (failure !== PASSES) counts[failure] = (counts[failure] ?? 0) + 1;
    }
    return counts;
  }

  /** Tells all waiting tasks of the shape that do not know the current text. */
  #tell(shape: Shape): Explanation {
    const { told } = shape;
    const tasks = new Int32List();
    for (let task = shape.waiting.first; task >= 0; task = this.#tasks.next(task)) {
      if (this.#tasks.told(task) === told.id) continue;
      this.#tasks.setTold(task, told.id);
      tasks.push(task);
    }
    told.isDue = false;
    return { tasks: tasks.copy(), text: told.text, counts: told.counts };
  }
}
