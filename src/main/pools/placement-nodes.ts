/**
 * The nodes as the placement thread numbers them. A number lasts as long as the node is stored or a
 * task is on it; what the store says of a node is sent whenever it changed.
 */
import assert from 'node:assert/strict';
import type { ToPlacement } from '../../shared/lanes/placement.ts';
import type { View } from '../store/view.ts';
import { nodeFacts } from './placement-facts.ts';
import { Numbers } from './placement-numbers.ts';

type KnownNode = {
  readonly id: string;
  readonly number: number;
  tasks: number;
  /** Whether the thread has facts about it. */
  isTold: boolean;
};

export class PlacementNodes {
  readonly #numbers = new Numbers();
  readonly #byId = new Map<string, KnownNode>();
  readonly #byNumber: (KnownNode | undefined)[] = [];
  readonly #changed = new Set<KnownNode>();

  get size(): number {
    return this.#byId.size;
  }

  /** How many nodes wait to be told. */
  get pending(): number {
    return this.#changed.size;
  }

  /** The number of a node that a task is on, or is meant for, until `release`. */
  take(id: string): number {
    const node = this.#node(id);
    node.tasks++;
    return node.number;
  }

  /** As `take`, for a node that a task is on already. */
  hold(number: number): void {
    const node = this.#byNumber[number];
    assert(node !== undefined, `no node has the number ${number}`);
    node.tasks++;
  }

  release(number: number): void {
    const node = this.#byNumber[number];
    if (node === undefined) return;
    node.tasks--;
    if (node.tasks === 0 && !node.isTold) this.#changed.add(node);
  }

  idOf(number: number): string | undefined {
    return this.#byNumber[number]?.id;
  }

  /** The node was stored, changed or removed. */
  changed(id: string): void {
    this.#changed.add(this.#node(id));
  }

  /** A new thread knows nothing. */
  forgetTold(): void {
    for (const node of this.#byId.values()) {
      node.isTold = false;
      this.#changed.add(node);
    }
  }

  /** Tells of up to `limit` changed nodes what the store says now; `turn` ends this flush. */
  tell(view: View, turn: number, limit: number, send: (message: ToPlacement) => void): void {
    let left = limit;
    for (const node of this.#changed) {
      if (left-- <= 0) return;
      this.#changed.delete(node);
      const stored = view.nodes.get(node.id);
      if (stored !== undefined) {
        node.isTold = true;
        send({ t: 'node', node: node.number, facts: nodeFacts(stored) });
        continue;
      }
      if (node.isTold) send({ t: 'nodeGone', node: node.number });
      node.isTold = false;
      if (node.tasks === 0) this.#forget(node, turn);
    }
  }

  passed(turn: number): void {
    this.#numbers.passed(turn);
  }

  #node(id: string): KnownNode {
    const known = this.#byId.get(id);
    if (known !== undefined) return known;
    const node = { id, number: this.#numbers.take(), tasks: 0, isTold: false };
    this.#byId.set(id, node);
    while (this.#byNumber.length <= node.number) this.#byNumber.push(undefined);
    this.#byNumber[node.number] = node;
    return node;
  }

  #forget(node: KnownNode, turn: number): void {
    this.#byId.delete(node.id);
    this.#byNumber[node.number] = undefined;
    this.#numbers.release(node.number, turn);
  }
}
