/**
 * The nodes as columns: facts, what is free, how many active tasks. A node may be unknown (no facts,
 * or no more) and still carry tasks. Whatever may let a task in that was refused before is noted in
 * the journal.
 */
import assert from 'node:assert/strict';
import type { GenericClaim, NodeFacts } from '../../../shared/lanes/placement.ts';
import { grownFloat64, grownInt32, grownUint8 } from '../../../shared/kit/columns.ts';
import type { CompiledProfile } from './compiled-profile.ts';
import { bump, GenericStock } from './generic-stock.ts';
import { Journal } from './journal.ts';
import { roomOf } from './room.ts';

/** Node numbers must be below this: the node order is packed into one number. */
export const NODES_MAX = 1 << 22;

export class NodeTable {
  readonly journal = new Journal();
  #size = 0;
  /** Counts every change, for whoever wants to know whether there was any. */
  #version = 0;
  readonly #facts: (NodeFacts | undefined)[] = [];
  /** When each node's facts were last set, as a count of such changes. */
  #factsAge = new Int32Array(64);
  #factsChanges = 0;
  #available = new Uint8Array(64);
  #freeNanoCpus = new Float64Array(64);
  #freeMemoryBytes = new Float64Array(64);
  #active = new Int32Array(64);
  #room = new Uint8Array(64);
  readonly #ports = new Map<number, Map<number, number>>();
  readonly #generic = new Map<number, GenericStock>();

  /** Above every node number seen. */
  get size(): number {
    return this.#size;
  }

  get version(): number {
    return this.#version;
  }

  /** Takes in what is new about a node. */
  setFacts(node: number, facts: NodeFacts): void {
    this.ensure(node);
    this.#setCapacity(node, facts);
    this.#facts[node] = facts;
    this.#available[node] = facts.available ? 1 : 0;
  }

  /** The node is no more; tasks still on it stay counted until they are released. */
  forget(node: number): void {
    this.ensure(node);
    this.#setCapacity(node, undefined);
    this.#facts[node] = undefined;
    this.#available[node] = 0;
  }

  /** Makes room in the columns for a node number. */
  ensure(node: number): void {
    if (node < 0 || node >= NODES_MAX) assert.fail(`node number ${node} is out of range`);
    if (node < this.#size) return;
    this.#size = node + 1;
    this.#factsAge = grownInt32(this.#factsAge, node);
    this.#available = grownUint8(this.#available, node);
    this.#freeNanoCpus = grownFloat64(this.#freeNanoCpus, node);
    this.#freeMemoryBytes = grownFloat64(this.#freeMemoryBytes, node);
    this.#active = grownInt32(this.#active, node);
    this.#room = grownUint8(this.#room, node);
    while (this.#facts.length < this.#size) this.#facts.push(undefined);
  }

  facts(node: number): NodeFacts | undefined {
    return this.#facts[node];
  }

  /** Changes whenever the facts of the node do. */
  factsAge(node: number): number {
    return this.#factsAge[node] ?? 0;
  }

  isAvailable(node: number): boolean {
    return this.#available[node] === 1;
  }

  /** May be below 0, when a node shrank under its tasks. */
  freeNanoCpus(node: number): number {
    return this.#freeNanoCpus[node] ?? 0;
  }

  freeMemoryBytes(node: number): number {
    return this.#freeMemoryBytes[node] ?? 0;
  }

  freeGeneric(node: number, kind: string): number {
    return this.#generic.get(node)?.free(kind) ?? 0;
  }

  portsFree(node: number, hostPorts: readonly number[]): boolean {
    if (hostPorts.length === 0) return true;
    const used = this.#ports.get(node);
    return used === undefined || !hostPorts.some((port) => used.has(port));
  }

  /** Active tasks on the node, of all services. */
  activeTasks(node: number): number {
    return this.#active[node] ?? 0;
  }

  /** The room step of the node, 0 to 63. */
  room(node: number): number {
    return this.#room[node] ?? 0;
  }

  /** Puts a task on the node, with claims that it has already. */
  hold(node: number, profile: CompiledProfile, claims: readonly GenericClaim[]): void {
    this.#reserve(node, profile);
    if (claims.length > 0) this.#stock(node).hold(claims);
  }

  /** Puts an active task on the node and gives it the generic resources it asks for. */
  place(node: number, profile: CompiledProfile): readonly GenericClaim[] {
    this.#reserve(node, profile);
    this.#active[node] = this.activeTasks(node) + 1;
    return profile.generic.length === 0 ? NO_CLAIMS : this.#stock(node).claim(profile.generic);
  }

  /** Takes from the node what a task held. Its being active is ended by `deactivate`. */
  release(node: number, profile: CompiledProfile, claims: readonly GenericClaim[]): void {
    this.#version++;
    if (profile.nanoCpus > 0 || profile.memoryBytes > 0) {
      this.#freeNanoCpus[node] = this.freeNanoCpus(node) + profile.nanoCpus;
      this.#freeMemoryBytes[node] = this.freeMemoryBytes(node) + profile.memoryBytes;
      this.#updateRoom(node);
    }
    this.#changePorts(node, profile.hostPorts, -1);
    if (claims.length > 0) this.#stock(node).release(claims);
    this.journal.touch(node);
  }

  activate(node: number): void {
    this.#version++;
    this.#active[node] = this.activeTasks(node) + 1;
  }

  deactivate(node: number): void {
    this.#version++;
    this.#active[node] = this.activeTasks(node) - 1;
    this.journal.touch(node);
  }

  #reserve(node: number, profile: CompiledProfile): void {
    this.#version++;
    if (profile.nanoCpus > 0 || profile.memoryBytes > 0) {
      this.#freeNanoCpus[node] = this.freeNanoCpus(node) - profile.nanoCpus;
      this.#freeMemoryBytes[node] = this.freeMemoryBytes(node) - profile.memoryBytes;
      this.#updateRoom(node);
    }
    this.#changePorts(node, profile.hostPorts, 1);
  }

  #setCapacity(node: number, facts: NodeFacts | undefined): void {
    const before = this.#facts[node];
    const nanoCpus = (facts?.nanoCpus ?? 0) - (before?.nanoCpus ?? 0);
    const memoryBytes = (facts?.memoryBytes ?? 0) - (before?.memoryBytes ?? 0);
    // Most often a node only comes or goes.
    if (nanoCpus !== 0 || memoryBytes !== 0) {
      this.#freeNanoCpus[node] = this.freeNanoCpus(node) + nanoCpus;
      this.#freeMemoryBytes[node] = this.freeMemoryBytes(node) + memoryBytes;
      this.#updateRoom(node);
    }
    if (this.#generic.has(node) || (facts?.generic.length ?? 0) > 0) {
      this.#stock(node).offer(facts?.generic ?? []);
    }
    this.#factsAge[node] = ++this.#factsChanges;
    this.#version++;
    this.journal.touch(node);
  }

  #updateRoom(node: number): void {
    this.#room[node] = roomOf(this.freeNanoCpus(node), this.freeMemoryBytes(node));
  }

  #changePorts(node: number, hostPorts: readonly number[], change: 1 | -1): void {
    if (hostPorts.length === 0) return;
    const used = this.#ports.get(node) ?? new Map<number, number>();
    this.#ports.set(node, used);
    for (const port of hostPorts) bump(used, port, change);
  }

  #stock(node: number): GenericStock {
    const stock = this.#generic.get(node) ?? new GenericStock();
    this.#generic.set(node, stock);
    return stock;
  }
}

const NO_CLAIMS: readonly GenericClaim[] = [];
