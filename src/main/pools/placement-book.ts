/**
 * What a placement thread should know of the tasks, and what it was told: the difference is what a
 * flush sends. A fresh thread was told nothing, so the same flush that carries a change also brings
 * up a thread after the death of its predecessor.
 *
 * A task is *proposed* from the thread's decision until the store has said yes, by an event, or no.
 * Meanwhile it counts as being on its node, whatever older events still say.
 */
import { grownInt32, grownUint8, Int32List } from '../../shared/kit/columns.ts';
import { Int32Queue } from '../../shared/kit/int32-queue.ts';
import type { GenericClaim, ToPlacement } from '../../shared/lanes/placement.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { TaskRow, View } from '../store/view.ts';
import { PlacementColumns } from './placement-columns.ts';
import { claimsOf } from './placement-facts.ts';
import { AS, meaning, type As } from './placement-meaning.ts';
import { PlacementNodes } from './placement-nodes.ts';
import { Numbers } from './placement-numbers.ts';
import { PlacementShapes } from './placement-shapes.ts';

/** The thread decided it, so a refusal makes it wait again by itself. */
const DECIDED = 1;
/** The decision is with the store. */
const PROPOSED = 2;
const DIRTY = 4;

const NOWHERE = -1;
const NOBODY = -1;

/** A decision that the store is to be asked about. */
export type Proposal = {
  readonly number: number;
  readonly taskId: string;
  /** Where the task stands in the store. */
  readonly place: number;
  /** The node's number, and its id. */
  readonly node: number;
  readonly nodeId: string;
  /** The generic resources that the task gets. */
  readonly claims: readonly GenericClaim[];
};

type Send = (message: ToPlacement) => void;

export class PlacementBook {
  readonly nodes = new PlacementNodes();
  readonly shapes = new PlacementShapes();
  readonly #numbers = new Numbers();
  readonly #ids: string[] = [];
  #place = new Int32Array(0);
  /** By place in the store: the number of the task that stands there, one too high; or of one that did. */
  #numberAt = new Int32Array(0);
  #size = 0;
  #shape = new Int32Array(0);
  #want = new Uint8Array(0);
  #wantNode = new Int32Array(0);
  #told = new Uint8Array(0);
  #toldNode = new Int32Array(0);
  #flags = new Uint8Array(0);
  /** Tasks of which the thread may have to hear, each once. */
  readonly #dirty = new Int32Queue();
  readonly #failed = new Int32List();
  #turn = 0;
  /** Whether the thread heard something since it last was to decide. */
  #owesTurn = false;
  #proposed = 0;

  /** Tasks that placement has to do with. */
  get size(): number {
    return this.#size;
  }

  /** How many tasks or nodes, whichever are more, wait to be told. */
  get pending(): number {
    return Math.max(this.#dirty.length, this.nodes.pending);
  }

  /** Takes in a stored task. */
  task(row: TaskRow): void {
    const as = meaning(row);
    const known = this.#numberOf(row);
    if (known === NOBODY) {
      if (as !== AS.none) this.#enter(row, as);
      return;
    }
    const isStored = as === AS.held || as === AS.inactive;
    if (isStored) this.#settle(known);
    const isOver = row.state === TaskState.FAILED || row.state === TaskState.REJECTED;
    if (isOver && this.#told[known] === AS.held) this.#failed.push(known);
    const node = as === AS.none || as === AS.waiting ? '' : row.nodeId;
    this.#setWant(known, as, node);
  }

  /** A stored task was removed. */
  taskGone(row: TaskRow): void {
    const known = this.#numberOf(row);
    if (known === NOBODY) return;
    this.#settle(known);
    this.#setWant(known, AS.none, '');
  }

  /** Takes a decision of the thread; undefined when it is about a task that waits no more. */
  decided(number: number, node: number, claims: readonly GenericClaim[]): Proposal | undefined {
    const told = this.#told[number];
    const nodeId = this.nodes.idOf(node);
    if ((told !== AS.waiting && told !== AS.confirming) || nodeId === undefined) return undefined;
    this.#told[number] = AS.held;
    this.#moveTold(number, node);
    this.#flags[number] = this.#flag(number) | DECIDED | PROPOSED;
    this.#proposed++;
    const [taskId = '', place = 0] = [this.#ids[number], this.#place[number]];
    return { number, taskId, place, node, nodeId, claims };
  }

  /** The store refused a decision; with `isOver` the task is not to be placed at all. */
  refused({ number, taskId }: Proposal, isOver: boolean): void {
    const isOpen = this.#ids[number] === taskId && (this.#flag(number) & PROPOSED) !== 0;
    if (!isOpen) return;
    this.#settle(number);
    const want = this.#want[number];
    if (isOver && (want === AS.waiting || want === AS.confirming)) {
      this.#setWant(number, AS.none, '');
    }
    this.#mark(number);
  }

  /** The id of a task that the thread has waiting. */
  waitingId(number: number): string | undefined {
    const told = this.#told[number];
    return told === AS.waiting || told === AS.confirming ? this.#ids[number] : undefined;
  }

  /** A new thread knows nothing; it has to be told everything. */
  forgetTold(): void {
    this.nodes.forgetTold();
    this.shapes.forgetTold();
    for (const [number, id] of this.#ids.entries()) {
      if (id === '') continue;
      this.#told[number] = AS.none;
      this.#flags[number] = this.#flag(number) & ~DECIDED;
      this.#mark(number);
    }
    this.#failed.clear();
    // Nobody is left who could still say an old number.
    this.turned(this.#turn + 1);
  }

  /** The thread has gone past a turn. */
  turned(turn: number): void {
    this.#numbers.passed(turn);
    this.nodes.passed(turn);
    this.shapes.passed(turn);
  }

  /** Decisions that the store has not answered. */
  get proposed(): number {
    return this.#proposed;
  }

  /**
   * Sends what changed, up to `limit` nodes and as many tasks; the rest is for the next flush.
   *
   * @param decide whether the thread shall decide at the end
   */
  flush(
    view: View,
    {
      nowMs,
      limit,
      decide,
    }: { readonly nowMs: number; readonly limit: number; readonly decide: boolean },
    send: Send,
  ): void {
    const turn = this.#turn + 1;
    const tell = (message: ToPlacement): void => {
      this.#owesTurn = true;
      send(message);
    };
    this.nodes.tell(view, turn, limit, tell);
    const failed = this.#failed.copy();
    this.#failed.clear();
    if (failed.length > 0) tell({ t: 'failed', tasks: failed, atMs: nowMs });
    const columns = new PlacementColumns();
    for (let left = Math.min(limit, this.#dirty.length); left > 0; left--) {
      const number = this.#dirty.shift();
      this.#flags[number] = this.#flag(number) & ~DIRTY;
      this.#tellTask(number, columns, view);
    }
    columns.send(this.shapes, tell);
    this.shapes.retire(view, turn, tell);
    if (!decide || !this.#owesTurn) return;
    this.#owesTurn = false;
    this.#turn = turn;
    send({ t: 'turn', turn });
  }

  /** @returns the number of a stored task, or `NOBODY` */
  #numberOf({ id, place }: TaskRow): number {
    const number = (this.#numberAt[place] ?? 0) - 1;
    return this.#ids[number] === id ? number : NOBODY;
  }

  /** @returns the task's number from now on */
  #enter(row: TaskRow, as: As): number {
    const { id, place } = row;
    const number = this.#numbers.take();
    this.#grow(number);
    this.#numberAt = grownInt32(this.#numberAt, place);
    this.#numberAt[place] = number + 1;
    this.#place[number] = place;
    this.#ids[number] = id;
    this.#size++;
    this.#shape[number] = this.shapes.take(row);
    this.#want[number] = AS.none;
    this.#wantNode[number] = NOWHERE;
    this.#told[number] = AS.none;
    this.#toldNode[number] = NOWHERE;
    this.#flags[number] = 0;
    this.#setWant(number, as, as === AS.waiting ? '' : row.nodeId);
    return number;
  }

  #grow(number: number): void {
    while (this.#ids.length <= number) this.#ids.push('');
    this.#place = grownInt32(this.#place, number);
    this.#shape = grownInt32(this.#shape, number);
    this.#want = grownUint8(this.#want, number);
    this.#wantNode = grownInt32(this.#wantNode, number);
    this.#told = grownUint8(this.#told, number);
    this.#toldNode = grownInt32(this.#toldNode, number);
    this.#flags = grownUint8(this.#flags, number);
  }

  /** The store has answered, or the question is pointless. */
  #settle(number: number): void {
    if ((this.#flag(number) & PROPOSED) === 0) return;
    this.#flags[number] = this.#flag(number) & ~PROPOSED;
    this.#proposed--;
  }

  #flag(number: number): number {
    return this.#flags[number] ?? 0;
  }

  #setWant(number: number, as: As, nodeId: string): void {
    const before = this.#wantNode[number] ?? NOWHERE;
    this.#wantNode[number] = this.#takeNode(number, nodeId);
    if (before !== NOWHERE) this.nodes.release(before);
    this.#want[number] = as;
    if (!this.#isTold(number)) this.#mark(number);
  }

  /** The number of a node that the task is to be on; most often the thread has chosen it. */
  #takeNode(number: number, nodeId: string): number {
    if (nodeId === '') return NOWHERE;
    const told = this.#toldNode[number] ?? NOWHERE;
    if (told === NOWHERE || this.nodes.idOf(told) !== nodeId) return this.nodes.take(nodeId);
    this.nodes.hold(told);
    return told;
  }

  #moveTold(number: number, node: number): void {
    const before = this.#toldNode[number] ?? NOWHERE;
    this.#toldNode[number] = node;
    if (node !== NOWHERE) this.nodes.hold(node);
    if (before !== NOWHERE) this.nodes.release(before);
  }

  /** Whether the thread knows of a task what it should, decisions that are with the store aside. */
  #isTold(number: number): boolean {
    const told = this.#told[number];
    if (told === AS.none || told !== this.#want[number]) return false;
    return told === AS.waiting || this.#toldNode[number] === this.#wantNode[number];
  }

  #mark(number: number): void {
    if ((this.#flag(number) & DIRTY) !== 0) return;
    this.#flags[number] = this.#flag(number) | DIRTY;
    this.#dirty.push(number);
  }

  /** Brings the thread from what it was told of a task to what it should know. */
  #tellTask(number: number, columns: PlacementColumns, view: View): void {
    // What was decided is told when the store has answered, with all that goes with it.
    if ((this.#flag(number) & PROPOSED) !== 0 || this.#isTold(number)) return;
    const want = this.#want[number] ?? AS.none;
    const node = this.#wantNode[number] ?? NOWHERE;
    const told = this.#told[number];
    if (told === AS.none) {
      if (want === AS.none) this.#retire(number);
      else this.#tellNew(number, { want, node }, { columns, view });
      return;
    }
    const isSameNode = node === this.#toldNode[number];
    if (told === AS.held && want === AS.inactive && isSameNode) {
      this.#told[number] = AS.inactive;
      columns.inactive.push(number);
    } else if (this.#isUndone(number, want)) {
      this.#told[number] = want;
      this.#moveTold(number, want === AS.waiting ? NOWHERE : node);
      this.#flags[number] = this.#flag(number) & ~DECIDED;
      columns.refused.push(number);
    } else {
      columns.gone.push(number);
      this.#leave(number, want, { columns, view });
    }
  }

  /** Whether the task waits as before a decision that did not come about. */
  #isUndone(number: number, want: As): boolean {
    const isDecided = (this.#flag(number) & DECIDED) !== 0 && this.#told[number] === AS.held;
    return isDecided && (want === AS.waiting || want === AS.confirming);
  }

  /** The thread forgets the number; a task that goes on gets another. */
  #leave(number: number, want: As, to: { columns: PlacementColumns; view: View }): void {
    const id = this.#ids[number] ?? '';
    this.#retire(number);
    const row = want === AS.none ? undefined : to.view.tasks.get(id);
    if (row === undefined || meaning(row) === AS.none) return;
    const fresh = this.#enter(row, meaning(row));
    const node = this.#wantNode[fresh] ?? NOWHERE;
    this.#tellNew(fresh, { want: meaning(row), node }, to);
  }

  #tellNew(
    number: number,
    { want, node }: { readonly want: As; readonly node: number },
    { columns, view }: { readonly columns: PlacementColumns; readonly view: View },
  ): void {
    const shape = this.#shape[number] ?? 0;
    this.shapes.need(shape);
    this.#told[number] = want;
    this.#moveTold(number, node);
    if (want === AS.waiting) {
      columns.place(number, shape);
      return;
    }
    if (want === AS.confirming) {
      columns.confirm(number, shape, node);
      return;
    }
    columns.held(number, shape, node, want === AS.held);
    if (!this.shapes.hasGeneric(shape)) return;
    const task = view.tasks.get(this.#ids[number] ?? '')?.toTask();
    const claims = claimsOf(task?.assignedGenericResources ?? []);
    if (claims.length > 0) columns.claims({ task: number, claims });
  }

  #retire(number: number): void {
    this.#ids[number] = '';
    this.#size--;
    this.#told[number] = AS.none;
    this.#want[number] = AS.none;
    this.shapes.release(this.#shape[number] ?? 0);
    this.#moveTold(number, NOWHERE);
    const wantNode = this.#wantNode[number] ?? NOWHERE;
    if (wantNode !== NOWHERE) this.nodes.release(wantNode);
    this.#wantNode[number] = NOWHERE;
    this.#numbers.release(number, this.#turn + 1);
  }
}
