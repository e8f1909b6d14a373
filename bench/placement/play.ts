/** A scenario as messages: written down once, with the decisions of the plain heap, then played. */
import assert from 'node:assert/strict';
import { Numbers } from '../../src/main/pools/placement-numbers.ts';
import { settle, type Change, type PlacementEngine } from './engine.ts';
import { PlainHeap } from './plain-heap.ts';
import type { Grouping, Scenario } from './scenarios.ts';

export type Script = {
  /** Not timed: nodes and profiles, and tasks of each profile, so that nothing is new. */
  readonly before: readonly (readonly Change[])[];
  /** Timed; each part ends with a turn, or with several if there is more. */
  readonly parts: readonly (readonly Change[])[];
  /** What the plain heap decided in the parts, in order. */
  readonly tasks: Int32Array;
  readonly nodes: Int32Array;
};

/** Writes a scenario down. */
export function write(scenario: Scenario, grouping: Grouping): Script {
  const writer = new Writer(scenario, grouping);
  return writer.script();
}

/** An engine that knows the cluster and has placed nothing but the tasks before. */
export function begin<Engine extends PlacementEngine>(engine: Engine, script: Script): Engine {
  for (const part of script.before) {
    for (const message of part) engine.apply(message);
    settle(engine);
  }
  return engine;
}

/** Plays the timed parts. @returns how many decisions were made */
export function play(engine: PlacementEngine, { parts }: Script): number {
  let decisions = 0;
  for (const part of parts) {
    for (const message of part) engine.apply(message);
    decisions += settle(engine);
  }
  return decisions;
}

/** Plays the timed parts and holds every decision against the plain heap's. */
export function check(engine: PlacementEngine, script: Script, name: string): void {
  let at = 0;
  const hear = (tasks: Int32Array, nodes: Int32Array): void => {
    for (const [i, task] of tasks.entries()) {
      const [wantedTask, wantedNode] = [script.tasks[at + i], script.nodes[at + i]];
      assert.ok(
        task === wantedTask && nodes[i] === wantedNode,
        `${name}: decision ${at + i} is task ${task} to node ${nodes[i]}, ` +
          `the plain heap's is task ${wantedTask} to node ${wantedNode}`,
      );
    }
    at += tasks.length;
  };
  for (const part of script.parts) {
    for (const message of part) engine.apply(message);
    settle(engine, hear);
  }
  assert.equal(at, script.tasks.length, `${name}: not all was decided`);
}

class Writer {
  readonly #scenario: Scenario;
  readonly #grouping: Grouping;
  readonly #heap = new PlainHeap();
  readonly #nodeOf = new Map<number, number>();
  /** The shape of each task that has one of its own. */
  readonly #shapeOf = new Map<number, number>();
  /** As main gives them: what is gone leaves its number to another, a turn later. */
  readonly #taskNumbers = new Numbers();
  readonly #shapeNumbers = new Numbers();
  #turn = 0;
  readonly #before: Change[][] = [];
  readonly #parts: Change[][] = [];
  readonly #tasks: number[] = [];
  readonly #nodes: number[] = [];
  #part: Change[] = [];

  constructor(scenario: Scenario, grouping: Grouping) {
    this.#scenario = scenario;
    this.#grouping = grouping;
  }

  script(): Script {
    const { nodes, factsOf, profiles, tasks, turns, flapping } = this.#scenario;
    this.#begin(this.#before);
    for (let node = 0; node < nodes; node++) this.#say({ t: 'node', node, facts: factsOf(node) });
    for (const [profile, facts] of profiles.entries()) this.#say({ t: 'profile', profile, facts });
    const known = this.#newShapes(profiles.length, (i) => i);
    // One task of each alone, then two together: a spread matters only to the second.
    this.#say({ t: 'place', tasks: this.#newTasks(known.length), shapes: known });
    settle(this.#heap);
    this.#begin(this.#before);
    for (let i = 0; i < 2; i++) {
      this.#say({ t: 'place', tasks: this.#newTasks(known.length), shapes: known });
    }
    settle(this.#heap);
    const services = this.#services();
    for (let turn = 0; turn < turns; turn++) {
      this.#begin(this.#parts);
      this.#place(tasks / turns, services);
      this.#settle();
    }
    for (let round = 0; round < (flapping?.rounds ?? 0); round++) this.#flap(round, services);
    const decided = { tasks: Int32Array.from(this.#tasks), nodes: Int32Array.from(this.#nodes) };
    return { before: this.#before, parts: this.#parts, ...decided };
  }

  #begin(parts: Change[][]): void {
    this.#part = [];
    parts.push(this.#part);
  }

  #say(message: Change): void {
    this.#part.push(message);
    this.#heap.apply(message);
  }

  #settle(): void {
    const turn = this.#turn++;
    this.#taskNumbers.passed(turn);
    this.#shapeNumbers.passed(turn);
    settle(this.#heap, (tasks, nodes) => {
      for (const [i, task] of tasks.entries()) {
        this.#tasks.push(task);
        this.#nodes.push(nodes[i] ?? -1);
        this.#nodeOf.set(task, nodes[i] ?? -1);
      }
    });
  }

  #newTasks(count: number): Int32Array {
    return Int32Array.from({ length: count }, () => this.#taskNumbers.take());
  }

  #newShapes(count: number, profileOf: (index: number) => number): Int32Array {
    const shapes = Int32Array.from({ length: count }, () => this.#shapeNumbers.take());
    const profiles = Int32Array.from({ length: count }, (_, i) => profileOf(i));
    this.#say({ t: 'shapes', shapes, services: shapes, profiles });
    return shapes;
  }

  /** The services that all tasks are of; none when each is alone. */
  #services(): Int32Array {
    const { services, profiles } = this.#scenario;
    if (this.#grouping === 'alone') return new Int32Array(0);
    return this.#newShapes(services, (i) => i % profiles.length);
  }

  #place(count: number, services: Int32Array): void {
    const { profiles } = this.#scenario;
    const shapes =
      services.length === 0
        ? this.#newShapes(count, (i) => i % profiles.length)
        : Int32Array.from({ length: count }, (_, i) => services[i % services.length] ?? 0);
    const tasks = this.#newTasks(count);
    if (services.length === 0) tasks.forEach((task, i) => this.#shapeOf.set(task, shapes[i] ?? 0));
    this.#say({ t: 'place', tasks, shapes });
  }

  /** Tasks are no more, nor are the shapes that only they had. */
  #lose(tasks: readonly number[]): void {
    const shapes: number[] = [];
    for (const task of tasks) {
      this.#nodeOf.delete(task);
      this.#taskNumbers.release(task, this.#turn);
      const shape = this.#shapeOf.get(task);
      if (shape === undefined) continue;
      this.#shapeOf.delete(task);
      this.#shapeNumbers.release(shape, this.#turn);
      shapes.push(shape);
    }
    this.#say({ t: 'gone', tasks: Int32Array.from(tasks) });
    if (shapes.length > 0) this.#say({ t: 'shapesGone', shapes: Int32Array.from(shapes) });
  }

  #flap(round: number, services: Int32Array): void {
    const { nodes, flapping, factsOf } = this.#scenario;
    const share = Math.round(nodes * (flapping?.share ?? 0));
    const down = (of: number): number[] =>
      Array.from({ length: share }, (_, i) => (of * share + i) % nodes);
    this.#begin(this.#parts);
    const gone = new Set(down(round));
    for (const node of round === 0 ? [] : down(round - 1)) {
      this.#say({ t: 'node', node, facts: factsOf(node) });
    }
    for (const node of gone) {
      this.#say({ t: 'node', node, facts: { ...factsOf(node), available: false } });
    }
    const lost = [...this.#nodeOf].filter(([, node]) => gone.has(node)).map(([task]) => task);
    this.#lose(lost);
    this.#place(lost.length, services);
    this.#settle();
  }
}
