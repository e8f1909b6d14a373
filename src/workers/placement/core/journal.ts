/**
 * Which nodes changed for the better, or changed at all, and in which order: what a reader that
 * keeps something about nodes has to look at again. Nodes that merely got fuller are not in it;
 * readers find that out when they come to the node.
 *
 * A position is a count of entries since the start. A reader remembers the position up to which it
 * has read; when that is older than what is kept, it has to look at every node.
 */
import { grownFloat64, grownInt32 } from '../../../shared/kit/columns.ts';

/** Entries kept at least, and per node; above that the older half goes. */
const KEPT_MIN = 1_024;
const KEPT_PER_NODE = 2;

export class Journal {
  #entries = new Int32Array(64);
  #length = 0;
  /** Position of the first entry kept. */
  #base = 0;
  /** Position after each node's latest entry; 0 when it has none. */
  #latest = new Float64Array(64);
  /** The position up to which somebody has read. */
  #readTo = 0;

  /** The position after the newest entry. */
  get head(): number {
    return this.#base + this.#length;
  }

  /** The head, for a reader who has seen all up to there and comes back for the rest. */
  read(): number {
    this.#readTo = this.head;
    return this.#readTo;
  }

  /** Notes that the node is to be looked at again. */
  touch(node: number): void {
    // An entry that nobody has read yet says it already.
    if ((this.#latest[node] ?? 0) > this.#readTo) return;
    this.#latest = grownFloat64(this.#latest, node);
    if (this.#length > Math.max(KEPT_MIN, KEPT_PER_NODE * this.#latest.length)) this.#trim();
    this.#entries = grownInt32(this.#entries, this.#length);
    this.#entries[this.#length++] = node;
    this.#latest[node] = this.head;
  }

  /** Whether the node was touched after the position. */
  touchedSince(position: number, node: number): boolean {
    return (this.#latest[node] ?? 0) > position;
  }

  /** Whether `nextNode` still knows everything since the position. */
  reachesBack(position: number): boolean {
    return position >= this.#base;
  }

  /** Entries from the position to the head. */
  distance(position: number): number {
    return this.head - position;
  }

  /** The node touched at a position, or -1 when the node was touched again later. */
  nodeAt(position: number): number {
    const node = this.#entries[position - this.#base] ?? -1;
    return this.#latest[node] === position + 1 ? node : -1;
  }

  #trim(): void {
    const dropped = this.#length >>> 1;
    this.#entries.copyWithin(0, dropped, this.#length);
    this.#length -= dropped;
    this.#base += dropped;
  }
}
