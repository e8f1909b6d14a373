/**
 * The placement engine: takes what main says about nodes and tasks, and at each turn decides which
 * waiting task goes to which node, and why the others go nowhere. It keeps no time and asks nobody;
 * the same messages give the same answers. SPEC.md has the rules.
 */
import assert from 'node:assert/strict';
import type {
  Explanation,
  GenericClaim,
  TaskClaims,
  ToPlacement,
} from '../../../shared/lanes/placement.ts';
import { Int32List } from '../../../shared/kit/columns.ts';
import { Explainer } from './explainer.ts';
import { FailureLog } from './failure-log.ts';
import { firstFailure, PASSES, verdict } from './filters.ts';
import { Holdings } from './holdings.ts';
import { NodeTable } from './node-table.ts';
import { Pools } from './pools.ts';
import { Search } from './search.ts';
import { Shapes, type Shape } from './shapes.ts';
import { Tally } from './tally.ts';
import { newQueue, TASK, TaskTable } from './task-table.ts';

/** Most decisions of one turn; the rest follows in the next. */
const DECISIONS_MAX = 65_536;

/** What a turn decided. */
export type Outcome = {
  /** `tasks[i]` goes to `nodes[i]`. */
  readonly tasks: Int32Array;
  readonly nodes: Int32Array;
  readonly claims: readonly TaskClaims[];
  readonly explanations: readonly Explanation[];
  /** Whether there is work left that another turn would do at once. */
  readonly hasMore: boolean;
  /** When another turn has something to say even if nothing happens, or undefined. */
  readonly wakeAtMs: number | undefined;
};

type Change = Exclude<ToPlacement, { readonly t: 'turn' }>;

export class Placer {
  readonly #nodes = new NodeTable();
  readonly #pools = new Pools(this.#nodes);
  readonly #tasks = new TaskTable();
  readonly #shapes = new Shapes();
  readonly #tally = new Tally();
  readonly #failures = new FailureLog();
  readonly #holdings: Holdings;
  readonly #search: Search;
  readonly #explainer: Explainer;
  readonly #confirming = newQueue();
  /** Journal position up to which all confirming tasks were asked about; -1 if one was not. */
  #confirmedTo = -1;
  /** Shapes with waiting tasks, in the order in which they began to wait. */
  #waiting: Shape[] = [];
  readonly #placedTasks = new Int32List();
  readonly #placedNodes = new Int32List();
  #placedClaims: TaskClaims[] = [];
  /** How a search is to go; one object for all, since there may be a search for every task. */
  readonly #placing = {
    nowMs: 0,
    limit: 0,
    placeOn: (node: number, shape: Shape): void => {
      const task = shape.waiting.first;
      this.#tasks.unqueue(task, shape.waiting);
      this.#decide(task, node, shape);
    },
  };

  constructor() {
    const state = {
      nodes: this.#nodes,
      pools: this.#pools,
      tasks: this.#tasks,
      shapes: this.#shapes,
      tally: this.#tally,
      failures: this.#failures,
    };
    this.#holdings = new Holdings(state);
    this.#search = new Search(state);
    this.#explainer = new Explainer({ ...state, search: this.#search });
  }

  /** Takes in one message. Decides nothing. */
  apply(message: Change): void {
    switch (message.t) {
      case 'node':
        return this.#nodes.setFacts(message.node, message.facts);
      case 'nodeGone':
        this.#failures.forgetNode(message.node);
        return this.#nodes.forget(message.node);
      case 'profile':
        return this.#shapes.setProfile(message.profile, message.facts);
      case 'profileGone':
        return this.#shapes.forgetProfile(message.profile);
      case 'shapes':
        return this.#addShapes(message);
      case 'shapesGone':
        return message.shapes.forEach((shape) => this.#forgetShape(shape));
      case 'place':
        return this.#place(message.tasks, message.shapes);
      case 'confirm':
        return this.#confirm(message);
      case 'held':
        return this.#hold(message);
      case 'inactive':
        return message.tasks.forEach((task) => this.#deactivate(task));
      case 'failed':
        return message.tasks.forEach((task) => this.#fail(task, message.atMs));
      case 'gone':
        return message.tasks.forEach((task) => this.#forgetTask(task));
      case 'refused':
        return message.tasks.forEach((task) => this.#refuse(task));
    }
  }

  /** Decides: tasks with a given node first, then the others in the order in which they came. */
  turn(nowMs: number, decisionsMax = DECISIONS_MAX): Outcome {
    this.#placedTasks.clear();
    this.#placedNodes.clear();
    this.#placedClaims = [];
    const confirmExplanations = this.#confirmAll();
    const isCutShort = this.#placeAll(nowMs, decisionsMax);
    const explained = this.#explainer.explain(this.#waiting, nowMs);
    return {
      tasks: this.#placedTasks.copy(),
      nodes: this.#placedNodes.copy(),
      claims: this.#placedClaims,
      explanations: [...confirmExplanations, ...explained.explanations],
      hasMore: isCutShort || explained.hasMore,
      wakeAtMs: explained.wakeAtMs,
    };
  }

  /** Looks into the engine, for tests and counters. */
  activeTasks(node: number): number {
    return this.#nodes.activeTasks(node);
  }

  #addShapes(message: Extract<Change, { t: 'shapes' }>): void {
    for (const [index, shape] of message.shapes.entries()) {
      this.#shapes.add(shape, message.services[index] ?? -1, message.profiles[index] ?? -1);
    }
  }

  #forgetShape(shape: number): void {
    this.#shapes.forget(shape);
    this.#failures.forgetShape(shape);
  }

  #place(tasks: Int32Array, shapes: Int32Array): void {
    for (let i = 0; i < tasks.length; i++) {
      const task = tasks[i] ?? -1;
      const shape = this.#shapes.get(shapes[i] ?? -1);
      this.#tasks.enter(task, shape.number, -1);
      this.#enqueue(task, shape);
    }
  }

  #enqueue(task: number, shape: Shape): void {
    this.#tasks.enqueue(task, TASK.waiting, shape.waiting);
    shape.told.isDue = true;
    if (shape.isListed) return;
    shape.isListed = true;
    this.#waiting.push(shape);
  }

  #confirm(message: Extract<Change, { t: 'confirm' }>): void {
    for (const [index, task] of message.tasks.entries()) {
      const shape = this.#shapes.get(message.shapes[index] ?? -1);
      const node = message.nodes[index] ?? -1;
      this.#nodes.ensure(node);
      this.#tasks.enter(task, shape.number, node);
      this.#enqueueConfirming(task);
    }
  }

  #enqueueConfirming(task: number): void {
    this.#tasks.enqueue(task, TASK.confirming, this.#confirming);
    this.#confirmedTo = -1;
  }

  #hold(message: Extract<Change, { t: 'held' }>): void {
    const claims = new Map<number, readonly GenericClaim[]>(
      message.claims.map((held) => [held.task, held.claims]),
    );
    for (const [index, task] of message.tasks.entries()) {
      const node = message.nodes[index] ?? -1;
      this.#nodes.ensure(node);
      // Entered as if its node were given: who chose it, and whether well, is not known here.
      this.#tasks.enter(task, message.shapes[index] ?? -1, node);
      const isActive = message.active[index] === 1;
      this.#holdings.restore(task, node, isActive, claims.get(task) ?? []);
    }
  }

  #deactivate(task: number): void {
    assert.equal(this.#tasks.state(task), TASK.held, `task ${task} is on no node`);
    this.#holdings.deactivate(task);
  }

  #fail(task: number, atMs: number): void {
    if (this.#tasks.state(task) !== TASK.held || !this.#tasks.isChosen(task)) return;
    this.#failures.record(this.#tasks.shape(task), this.#tasks.node(task), atMs);
  }

  #forgetTask(task: number): void {
    switch (this.#tasks.state(task)) {
      case TASK.held:
        this.#holdings.release(task);
        break;
      case TASK.waiting:
        this.#tasks.unqueue(task, this.#shapes.get(this.#tasks.shape(task)).waiting);
        break;
      case TASK.confirming:
        this.#tasks.unqueue(task, this.#confirming);
        break;
      default:
        assert.fail(`task ${task} is not known`);
    }
    this.#tasks.leave(task);
  }

  #refuse(task: number): void {
    assert.equal(this.#tasks.state(task), TASK.held, `task ${task} is on no node`);
    this.#holdings.release(task);
    if (this.#tasks.isPreset(task)) this.#enqueueConfirming(task);
    else this.#enqueue(task, this.#shapes.get(this.#tasks.shape(task)));
  }

  /** Asks, for each task with a given node, whether the node can take it by now. */
  #confirmAll(): Explanation[] {
    const { journal } = this.#nodes;
    const explanations: Explanation[] = [];
    if (this.#confirmedTo === journal.head) return explanations;
    let task = this.#confirming.first;
    while (task >= 0) {
      const next = this.#tasks.next(task);
      const node = this.#tasks.node(task);
      if (journal.touchedSince(this.#tasks.askedAt(task), node)) {
        this.#tasks.setAskedAt(task, journal.head);
        const failure = this.#confirmOne(task, node);
        if (failure !== PASSES) this.#explainer.tellPreset(task, failure, explanations);
      }
      task = next;
    }
    this.#confirmedTo = journal.head;
    return explanations;
  }

  /** @returns the filter that the node fails, or `PASSES`: also when the node is not known yet */
  #confirmOne(task: number, node: number): number {
    const shape = this.#shapes.get(this.#tasks.shape(task));
    const facts = this.#nodes.facts(node);
    if (facts === undefined) return PASSES;
    const replicas = this.#tally.get(shape.service, node);
    const ofFacts = verdict(shape.profile, facts);
    const failure = firstFailure(this.#nodes, node, shape.profile, { ofFacts, replicas });
    if (failure !== PASSES) return failure;
    this.#tasks.unqueue(task, this.#confirming);
    this.#decide(task, node, shape);
    return PASSES;
  }

  /** @returns whether tasks that may find a node are left because of the limit */
  #placeAll(nowMs: number, decisionsMax: number): boolean {
    let left = decisionsMax;
    let isCutShort = false;
    for (const shape of this.#waiting) {
      if (shape.waiting.length === 0 || this.#isHopeless(shape)) continue;
      left -= this.#placeShape(shape, nowMs, Math.min(left, shape.waiting.length));
      isCutShort = shape.waiting.length > 0 && shape.exhaustedAt < 0;
      if (isCutShort) break;
    }
    this.#waiting = this.#waiting.filter((shape) => {
      shape.isListed = shape.waiting.length > 0;
      return shape.isListed;
    });
    return isCutShort;
  }

  /** Whether no node that could not take a task of the shape before can take one now. */
  #isHopeless(shape: Shape): boolean {
    const { head } = this.#nodes.journal;
    if (shape.exhaustedAt < 0 || (shape.exhaustedAt < head && this.#search.mayFit(shape))) {
      shape.exhaustedAt = -1;
      return false;
    }
    shape.exhaustedAt = head;
    return true;
  }

  #placeShape(shape: Shape, nowMs: number, limit: number): number {
    this.#placing.limit = limit;
    this.#placing.nowMs = nowMs;
    const placed = this.#search.run(shape, this.#placing);
    if (placed < limit) shape.exhaustedAt = this.#nodes.journal.head;
    return placed;
  }

  #decide(task: number, node: number, shape: Shape): void {
    const claims = this.#holdings.place(task, node, shape);
    this.#placedTasks.push(task);
    this.#placedNodes.push(node);
    if (claims.length > 0) this.#placedClaims.push({ task, claims });
  }
}
