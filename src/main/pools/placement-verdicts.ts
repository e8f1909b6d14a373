/**
 * Which nodes may be given tasks, as the head says. With many nodes a look at one is a look at far
 * memory, so what was found holds for all decisions until any node is written.
 */
import { grownInt32 } from '../../shared/kit/columns.ts';
import type { View } from '../store/view.ts';
import { isAvailable } from './placement-facts.ts';

export class PlacementVerdicts {
  /** The nodes that what was found holds for. */
  #edition: object | undefined;
  /** Counts the editions. */
  #epoch = 0;
  /** By number of the node: the epoch in which it was found to take tasks; 0 for none. */
  #foundIn = new Int32Array(0);

  /** Whether a node may be given tasks; `number` is its own as long as it is stored. */
  isAvailable(head: View, number: number, id: string): boolean {
    const { edition } = head.nodes;
    if (edition !== this.#edition) {
      this.#edition = edition;
      this.#epoch++;
    }
    if (this.#foundIn[number] === this.#epoch) return true;
    const node = head.nodes.get(id);
    if (node === undefined || !isAvailable(node)) return false;
    this.#foundIn = grownInt32(this.#foundIn, number);
    this.#foundIn[number] = this.#epoch;
    return true;
  }
}
