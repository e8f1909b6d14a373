/**
 * Placement by binary heaps alone, said as plainly as it can be and still be run at full size: the
 * engine's decisions are held against it before they are timed. It knows what the scenarios need
 * (facts, reservations, one level of spread) and no failures, host ports or given nodes.
 *
 * A group gets heaps of the nodes that fit, one for each branch of its spread. A group of one whose
 * service is nowhere yet needs no heaps of its own: those share a heap for each profile, in which an
 * entry that is out of date is put right when it comes to the top.
 */
import assert from 'node:assert/strict';
import type { NodeFacts } from '../../src/shared/lanes/placement.ts';
import {
  compileProfile,
  type CompiledProfile,
} from '../../src/workers/placement/core/compiled-profile.ts';
import { PASSES, verdict } from '../../src/workers/placement/core/filters.ts';
import { roomOf } from '../../src/workers/placement/core/room.ts';
import type { Change, PlacementEngine } from './engine.ts';

const NODE_BITS = 17;
const NODES_MAX = 2 ** NODE_BITS;
const COUNTS_MAX = 2 ** 15;

type Group = {
  readonly service: number;
  readonly profile: CompiledProfile;
  /** Tasks in the order in which they came, of which the first `placed` are placed. */
  tasks: number[];
  placed: number;
};
type Held = { readonly node: number; readonly group: Group };

export class PlainHeap implements PlacementEngine {
  readonly #facts: NodeFacts[] = [];
  readonly #cpus: number[] = [];
  readonly #memory: number[] = [];
  readonly #active: number[] = [];
  readonly #profiles = new Map<number, CompiledProfile>();
  readonly #groups = new Map<number, Group>();
  readonly #held = new Map<number, Held>();
  /** Active tasks by service and node. */
  readonly #replicas = new Map<number, Map<number, number>>();
  /** For groups of one, by profile; void once a node has more than it had. */
  readonly #shared = new Map<CompiledProfile, number[]>();
  #waiting = new Set<Group>();
  #tasks: number[] = [];
  #nodes: number[] = [];

  apply(message: Change): void {
    switch (message.t) {
      case 'node':
        return this.#setNode(message.node, message.facts);
      case 'profile':
        this.#profiles.set(message.profile, compileProfile(message.facts));
        return;
      case 'shapes':
        message.shapes.forEach((shape, i) => {
          const profile = this.#profiles.get(message.profiles[i] ?? -1);
          assert.ok(profile !== undefined);
          this.#groups.set(shape, {
            service: message.services[i] ?? -1,
            profile,
            tasks: [],
            placed: 0,
          });
        });
        return;
      case 'place':
        message.tasks.forEach((task, i) => {
          const group = this.#groups.get(message.shapes[i] ?? -1);
          assert.ok(group !== undefined);
          group.tasks.push(task);
          this.#waiting.add(group);
        });
        return;
      case 'gone':
        return message.tasks.forEach((task) => this.#release(task));
      case 'shapesGone':
        message.shapes.forEach((shape) => this.#groups.delete(shape));
        return;
      case 'nodeGone':
      case 'profileGone':
      case 'confirm':
      case 'held':
      case 'inactive':
      case 'failed':
      case 'refused':
        assert.fail(`no scenario says ${message.t}`);
    }
  }

  turn(): { tasks: Int32Array; nodes: Int32Array; hasMore: boolean } {
    this.#tasks = [];
    this.#nodes = [];
    for (const group of this.#waiting) {
      const isAlone = group.tasks.length - group.placed === 1 && !this.#replicas.has(group.service);
      if (isAlone) this.#placeAlone(group);
      else this.#placeGroup(group);
      if (group.placed < group.tasks.length) continue;
      group.tasks = [];
      group.placed = 0;
      this.#waiting.delete(group);
    }
    const [tasks, nodes] = [Int32Array.from(this.#tasks), Int32Array.from(this.#nodes)];
    return { tasks, nodes, hasMore: false };
  }

  #setNode(node: number, facts: NodeFacts): void {
    assert.ok(node < NODES_MAX);
    const before = this.#facts[node];
    this.#cpus[node] = (this.#cpus[node] ?? 0) + facts.nanoCpus - (before?.nanoCpus ?? 0);
    this.#memory[node] = (this.#memory[node] ?? 0) + facts.memoryBytes - (before?.memoryBytes ?? 0);
    this.#active[node] ??= 0;
    this.#facts[node] = facts;
    this.#shared.clear();
  }

  #placeAlone(group: Group): void {
    const { profile } = group;
    const heap = this.#shared.get(profile) ?? this.#heapOf(profile, this.#eligible(profile));
    this.#shared.set(profile, heap);
    for (;;) {
      const top = heap[0];
      if (top === undefined) return;
      const node = top % NODES_MAX;
      // A node only gets fuller while the heap lasts: one that does not fit will not fit again.
      if (!this.#fits(profile, node)) {
        pop(heap);
      } else if (top !== this.#rank(node, 0)) {
        replaceTop(heap, this.#rank(node, 0));
      } else {
        this.#decide(group, node);
        return;
      }
    }
  }

  #placeGroup(group: Group): void {
    const { profile, service } = group;
    const replicas = this.#replicas.get(service) ?? new Map<number, number>();
    const [label] = profile.spread;
    assert.ok(profile.spread.length <= 1);
    const zoneOf = (node: number): string => {
      const name = label?.split('.')[2] ?? '';
      return this.#facts[node]?.subject.labels.get(name) ?? '';
    };
    const branches = [...Map.groupBy(this.#eligible(profile), zoneOf)].map(([zone, nodes]) => {
      return { zone, count: 0, heap: this.#heapOf(profile, nodes, replicas) };
    });
    for (const [node, count] of replicas) {
      const branch = branches.find(({ zone }) => zone === zoneOf(node));
      if (branch !== undefined) branch.count += count;
    }
    while (group.placed < group.tasks.length) {
      const open = branches.filter(({ heap }) => heap.length > 0);
      if (open.length === 0) return;
      const best = open.reduce((a, b) => {
        if (a.count !== b.count) return a.count < b.count ? a : b;
        return (a.heap[0] ?? 0) < (b.heap[0] ?? 0) ? a : b;
      });
      const node = (best.heap[0] ?? 0) % NODES_MAX;
      this.#decide(group, node);
      best.count++;
      if (this.#fits(profile, node)) {
        replaceTop(best.heap, this.#rank(node, this.#replicasOn(service, node)));
      } else {
        pop(best.heap);
      }
    }
  }

  #eligible(profile: CompiledProfile): number[] {
    const nodes = Array.from(this.#facts.keys());
    return nodes.filter((node) => {
      const facts = this.#facts[node];
      return facts?.available === true && verdict(profile, facts) === PASSES;
    });
  }

  #heapOf(
    profile: CompiledProfile,
    nodes: readonly number[],
    replicas?: ReadonlyMap<number, number>,
  ): number[] {
    const fit = nodes.filter((node) => this.#fits(profile, node));
    // Sorted, and so a heap.
    return fit.map((node) => this.#rank(node, replicas?.get(node) ?? 0)).toSorted((a, b) => a - b);
  }

  #fits(profile: CompiledProfile, node: number): boolean {
    const { nanoCpus, memoryBytes } = profile;
    if (nanoCpus > 0 && nanoCpus > (this.#cpus[node] ?? 0)) return false;
    return memoryBytes === 0 || memoryBytes <= (this.#memory[node] ?? 0);
  }

  #replicasOn(service: number, node: number): number {
    return this.#replicas.get(service)?.get(node) ?? 0;
  }

  /** The node order in one number, lower is better. */
  #rank(node: number, replicas: number): number {
    const active = this.#active[node] ?? 0;
    assert.ok(active < COUNTS_MAX && replicas < COUNTS_MAX);
    const room = roomOf(this.#cpus[node] ?? 0, this.#memory[node] ?? 0);
    return ((replicas * COUNTS_MAX + active) * 64 + 63 - room) * NODES_MAX + node;
  }

  #decide(group: Group, node: number): void {
    const task = group.tasks[group.placed++];
    assert.ok(task !== undefined);
    this.#tasks.push(task);
    this.#nodes.push(node);
    this.#held.set(task, { node, group });
    this.#change(group, node, 1);
  }

  #release(task: number): void {
    const held = this.#held.get(task);
    assert.ok(held !== undefined);
    this.#held.delete(task);
    this.#change(held.group, held.node, -1);
    this.#shared.clear();
  }

  #change({ profile, service }: Group, node: number, by: 1 | -1): void {
    this.#active[node] = (this.#active[node] ?? 0) + by;
    this.#cpus[node] = (this.#cpus[node] ?? 0) - by * profile.nanoCpus;
    this.#memory[node] = (this.#memory[node] ?? 0) - by * profile.memoryBytes;
    const replicas = this.#replicas.get(service) ?? new Map<number, number>();
    replicas.set(node, (replicas.get(node) ?? 0) + by);
    if (replicas.get(node) === 0) replicas.delete(node);
    if (replicas.size === 0) this.#replicas.delete(service);
    else this.#replicas.set(service, replicas);
  }
}

function pop(heap: number[]): void {
  const last = heap.pop();
  if (last !== undefined && heap.length > 0) replaceTop(heap, last);
}

function replaceTop(heap: number[], value: number): void {
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if ((heap[child + 1] ?? Infinity) < (heap[child] ?? Infinity)) child++;
    const least = heap[child];
    if (least === undefined || least >= value) break;
    heap[at] = least;
    at = child;
  }
  heap[at] = value;
}
