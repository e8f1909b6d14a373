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
import { Int32List, largest } from '../../../shared/kit/columns.ts';
import { Explainer } from './explainer.ts';
import { FailureLog } from './failure-log.ts';
import { firstFailure, PASSES, verdict } from './filters.ts';
import { Holdings } from './holdings.ts';
import { NodeTable } from './node-table.ts';
import { Pools } from './pools.ts';
import { Search } from './search.ts';
import { Shapes } from './shapes.ts';
import { Tally } from './tally.ts';
import { TASK, TaskTable } from './task-table.ts';
import { WaitingList } from './waiting-list.ts';

/** The queue of the tasks with a given node; those of the shapes come after it. */
const CONFIRMING = 0;

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
  /** Journal position up to which all confirming tasks were asked about; -1 if one was not. */
  #confirmedTo = -1;
  readonly #waiting = new WaitingList();
  /** Shapes whose last waiting task went since the last turn: they have their place until the next. */
  readonly #emptied = new Int32List();
  /** Of the shapes that a turn came to, those whose tasks no node can take. */
  readonly #stuck = new Int32List();
  readonly #placedTasks = new Int32List();
  readonly #placedNodes = new Int32List();
  #placedClaims: TaskClaims[] = [];

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
        this.#tally.reserveServices(largest(message.services));
        return this.#shapes.add(message.shapes, message.services, message.profiles);
      case 'shapesGone':
        for (const shape of message.shapes) this.#forgetShape(shape);
        return;
      case 'place':
        return this.#place(message.tasks, message.shapes);
      case 'confirm':
        return this.#confirm(message);
      case 'held':
        return this.#hold(message);
      case 'inactive':
        for (const task of message.tasks) this.#deactivate(task);
        return;
      case 'failed':
        for (const task of message.tasks) this.#fail(task, message.atMs);
        return;
      case 'gone':
        for (const task of message.tasks) this.#forgetTask(task);
        return;
      case 'refused':
        return this.#refuse(message.tasks);
    }
  }

  /** Decides: tasks with a given node first, then the others in the order in which they came. */
  turn(nowMs: number, decisionsMax = DECISIONS_MAX): Outcome {
    this.#placedTasks.clear();
    this.#placedNodes.clear();
    this.#placedClaims = [];
    const confirmExplanations = this.#confirmAll();
    const isCutShort = this.#placeAll(nowMs, decisionsMax);
    const explained = this.#explainer.explain(this.#stuck, nowMs);
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

  #forgetShape(shape: number): void {
    const waiting = this.#tasks.length(this.#shapes.queue(shape));
    if (waiting > 0) assert.fail(`${waiting} tasks of shape ${shape} are waiting`);
    this.#shapes.forget(shape);
    this.#failures.forgetShape(shape);
    this.#explainer.forgetShape(shape);
  }

  #place(tasks: Int32Array, shapes: Int32Array): void {
    this.#shapes.check(shapes);
    this.#tasks.enterWaiting(tasks, shapes, this.#shapes.queue(0));
    this.#tally.reservePairs(tasks.length);
    this.#wait(shapes);
  }

  /** Tasks of these shapes were put in their queues. */
  #wait(shapes: Int32Array): void {
    this.#explainer.waits(shapes);
    this.#waiting.add(shapes);
  }

  #confirm(message: Extract<Change, { t: 'confirm' }>): void {
    for (const [index, task] of message.tasks.entries()) {
      const shape = message.shapes[index] ?? -1;
      const node = message.nodes[index] ?? -1;
      assert.ok(this.#shapes.has(shape), `shape ${shape} is not known`);
      this.#nodes.ensure(node);
      this.#tasks.enter(task, shape, node);
      this.#enqueueConfirming(task);
    }
  }

  #enqueueConfirming(task: number): void {
    this.#tasks.enqueue(task, TASK.confirming, CONFIRMING);
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
    if (this.#tasks.state(task) !== TASK.held) assert.fail(`task ${task} is on no node`);
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
        this.#waitNoMore(task);
        break;
      case TASK.confirming:
        this.#tasks.unqueue(task, CONFIRMING);
        break;
      default:
        assert.fail(`task ${task} is not known`);
    }
    this.#tasks.leave(task);
  }

  #waitNoMore(task: number): void {
    const shape = this.#tasks.shape(task);
    const queue = this.#shapes.queue(shape);
    this.#tasks.unqueue(task, queue);
    if (this.#tasks.length(queue) === 0) this.#emptied.push(shape);
  }

  #refuse(tasks: Int32Array): void {
    const shapes = new Int32List();
    for (const task of tasks) {
      if (this.#tasks.state(task) !== TASK.held) assert.fail(`task ${task} is on no node`);
      this.#holdings.release(task);
      if (this.#tasks.isPreset(task)) {
        this.#enqueueConfirming(task);
        continue;
      }
      const shape = this.#tasks.shape(task);
      this.#tasks.enqueue(task, TASK.waiting, this.#shapes.queue(shape));
      shapes.push(shape);
    }
    this.#wait(shapes.copy());
  }

  /** Asks, for each task with a given node, whether the node can take it by now. */
  #confirmAll(): Explanation[] {
    const { journal } = this.#nodes;
    const explanations: Explanation[] = [];
    if (this.#confirmedTo === journal.head) return explanations;
    let task = this.#tasks.first(CONFIRMING);
    while (task >= 0) {
      const next = this.#tasks.next(task);
      const node = this.#tasks.node(task);
      if (journal.touchedSince(this.#tasks.askedAt(task), node)) {
        this.#tasks.setAskedAt(task, journal.read());
        const failure = this.#confirmOne(task, node);
        if (failure !== PASSES) this.#explainer.tellPreset(task, failure, explanations);
      }
      task = next;
    }
    this.#confirmedTo = journal.read();
    return explanations;
  }

  /** @returns the filter that the node fails, or `PASSES`: also when the node is not known yet */
  #confirmOne(task: number, node: number): number {
    const shape = this.#tasks.shape(task);
    const facts = this.#nodes.facts(node);
    if (facts === undefined) return PASSES;
    const profile = this.#shapes.profile(shape);
    const replicas = this.#tally.get(this.#shapes.service(shape), node);
    const ofFacts = verdict(profile, facts);
    const failure = firstFailure(this.#nodes, node, profile, { ofFacts, replicas });
    if (failure !== PASSES) return failure;
    this.#tasks.unqueue(task, CONFIRMING);
    const claims = this.#holdings.confirm(task, node);
    this.#placedTasks.push(task);
    this.#placedNodes.push(node);
    if (claims.length > 0) this.#placedClaims.push({ task, claims });
    return PASSES;
  }

  /** @returns whether tasks that may find a node are left because of the limit */
  #placeAll(nowMs: number, decisionsMax: number): boolean {
    const waiting = this.#waiting;
    const stuck = this.#stuck;
    stuck.clear();
    let left = decisionsMax;
    let isCutShort = false;
    let taken = 0;
    for (; taken < waiting.length; taken++) {
      const shape = waiting.at(taken);
      if (shape < 0) continue;
      const queue = this.#shapes.queue(shape);
      const count = this.#tasks.length(queue);
      let rest = count;
      if (count > 0 && !this.#isHopeless(shape)) {
        const placed = this.#placeShape(shape, nowMs, Math.min(left, count));
        left -= placed;
        rest -= placed;
        isCutShort = rest > 0 && this.#shapes.exhaustedAt(shape) < 0;
        if (isCutShort) break;
      }
      if (rest > 0) stuck.push(shape);
      else waiting.drop(shape);
    }
    waiting.putBack(taken, stuck);
    this.#dropEmptied();
    return isCutShort;
  }

  #dropEmptied(): void {
    for (let i = 0; i < this.#emptied.length; i++) {
      const shape = this.#emptied.at(i);
      if (this.#tasks.length(this.#shapes.queue(shape)) === 0) this.#waiting.drop(shape);
    }
    this.#emptied.clear();
  }

  /** Whether no node that could not take a task of the shape before can take one now. */
  #isHopeless(shape: number): boolean {
    const { head } = this.#nodes.journal;
    const exhaustedAt = this.#shapes.exhaustedAt(shape);
    if (exhaustedAt === head) return true;
    const isHopeless =
      this.#shapes.profile(shape).exhaustedAt === head ||
      (exhaustedAt >= 0 && !this.#search.mayFit(shape));
    if (isHopeless) this.#exhaust(shape);
    else if (exhaustedAt >= 0) this.#shapes.setExhaustedAt(shape, -1);
    return isHopeless;
  }

  /** Notes that by now no node can take a task of the shape. */
  #exhaust(shape: number): void {
    const head = this.#nodes.journal.read();
    this.#shapes.setExhaustedAt(shape, head);
    // Where replicas do not count, what holds for one service holds for all.
    const profile = this.#shapes.profile(shape);
    if (profile.replicasMax === Infinity) profile.exhaustedAt = head;
  }

  #placeShape(shape: number, nowMs: number, limit: number): number {
    if (limit === 0) return 0;
    if (limit === 1 && this.#search.isLone(shape)) return this.#placeLone(shape);
    const picks = this.#search.run(shape, nowMs, limit);
    if (picks.length < limit) this.#exhaust(shape);
    const from = this.#placedTasks.length;
    this.#tasks.holdFirst(this.#shapes.queue(shape), picks, this.#placedTasks);
    this.#placedNodes.append(picks.nodes);
    for (const [index, claims] of picks.claims.entries()) {
      this.#claim(this.#placedTasks.at(from + index), claims);
    }
    return picks.length;
  }

  #placeLone(shape: number): number {
    const search = this.#search;
    const node = search.runLone(shape);
    if (node < 0) {
      this.#exhaust(shape);
      return 0;
    }
    const task = this.#tasks.holdOne(this.#shapes.queue(shape), node, search.loneEntry);
    this.#placedTasks.push(task);
    this.#placedNodes.push(node);
    if (search.loneClaims.length > 0) this.#claim(task, search.loneClaims);
    return 1;
  }

  #claim(task: number, claims: readonly GenericClaim[]): void {
    this.#holdings.claim(task, claims);
    this.#placedClaims.push({ task, claims });
  }
}
