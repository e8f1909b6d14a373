/** What a search found: nodes in the order of finding, for as many tasks of one shape. */
import { Int32List } from '../../../shared/kit/columns.ts';
import type { GenericClaim } from '../../../shared/lanes/placement.ts';

export class Picks {
  readonly nodes = new Int32List();
  /** The tally's entry in which each task counts already. */
  readonly entries = new Int32List();
  /** The generic resources that each task gets; empty where the profile asks for none. */
  readonly claims: (readonly GenericClaim[])[] = [];

  get length(): number {
    return this.nodes.length;
  }

  add(node: number, entry: number): void {
    this.nodes.push(node);
    this.entries.push(entry);
  }

  clear(): void {
    this.nodes.clear();
    this.entries.clear();
    if (this.claims.length > 0) this.claims.length = 0;
  }
}
