/**
 * One search for nodes for the tasks of one shape: what the branches of a pool need to know while it
 * lasts. It gathers what the service has on each node and which nodes are tainted for the shape, and
 * says which of two nodes is better and whether a node may be given one more task.
 *
 * The node order, best first: fewer failures, if either node is tainted; fewer active tasks of the
 * service; fewer active tasks; more room; lower number.
 */
import { grownInt32 } from '../../../shared/kit/columns.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { hasLeft } from './filters.ts';
import { NODES_MAX, type NodeTable } from './node-table.ts';
import { ROOMS } from './room.ts';

export class Choice {
  readonly nodes: NodeTable;
  #profile: CompiledProfile | undefined;
  /** Active tasks of the service on each node, during the search; otherwise 0. */
  #replicas = new Int32Array(0);
  /** Failures on each tainted node, during the search; otherwise 0. */
  #taint = new Int32Array(0);
  readonly #marked: number[] = [];

  constructor(nodes: NodeTable) {
    this.nodes = nodes;
  }

  get profile(): CompiledProfile {
    if (this.#profile === undefined) throw new Error('no search is under way');
    return this.#profile;
  }

  begin(profile: CompiledProfile): void {
    this.#profile = profile;
    this.#replicas = grownInt32(this.#replicas, this.nodes.size);
    this.#taint = grownInt32(this.#taint, this.nodes.size);
  }

  end(): void {
    for (const node of this.#marked) {
      this.#replicas[node] = 0;
      this.#taint[node] = 0;
    }
    this.#marked.length = 0;
    this.#profile = undefined;
  }

  /** The nodes on which the service has, or got, a task, and those that are tainted. */
  get marked(): readonly number[] {
    return this.#marked;
  }

  setReplicas(node: number, replicas: number): void {
    if (this.isPlain(node)) this.#marked.push(node);
    this.#replicas[node] = replicas;
  }

  setTaint(node: number, failures: number): void {
    if (this.isPlain(node)) this.#marked.push(node);
    this.#taint[node] = failures;
  }

  replicas(node: number): number {
    return this.#replicas[node] ?? 0;
  }

  taint(node: number): number {
    return this.#taint[node] ?? 0;
  }

  /** Whether the service has nothing on the node and the node is not tainted. */
  isPlain(node: number): boolean {
    return this.replicas(node) === 0 && this.taint(node) === 0;
  }

  /** Whether an eligible node may be given one more task of the shape. */
  allows(node: number): boolean {
    const { profile, nodes } = this;
    return this.replicas(node) < profile.replicasMax && hasLeft(nodes, node, profile);
  }

  /** Orders nodes that are equal in taint and replicas; lower is better. */
  rank(node: number): number {
    const { nodes } = this;
    return (nodes.activeTasks(node) * ROOMS + ROOMS - 1 - nodes.room(node)) * NODES_MAX + node;
  }

  /** The node that a rank belongs to. */
  static nodeOf(rank: number): number {
    return rank % NODES_MAX;
  }

  isBetter(node: number, other: number): boolean {
    const taint = this.taint(node) - this.taint(other);
    if (taint !== 0) return taint < 0;
    const replicas = this.replicas(node) - this.replicas(other);
    return replicas === 0 ? this.rank(node) < this.rank(other) : replicas < 0;
  }
}
