/**
 * What a placement thread should know of the tasks, and what it was told: the difference is what a
 * flush sends. A fresh thread was told nothing, so the same flush that carries a change also brings
 * up a thread after the death of its predecessor.
 *
 * A task is *proposed* from the thread's decision until the store has said yes, by an event, or no.
 * Meanwhile it counts as being on its node, whatever older events still say.
 */
import assert from 'node:assert/strict';
import { grownInt32, grownUint8, Int32List } from '../../shared/kit/columns.ts';
import type { TaskClaims, ToPlacement } from '../../shared/lanes/placement.ts';
import { TaskState } from '../../shared/wire/gen/types.ts';
import type { TaskRow, View } from '../store/view.ts';
import { claimsOf } from './placement-facts.ts';
import { PlacementNodes } from './placement-nodes.ts';
import { Numbers } from './placement-numbers.ts';
import { PlacementShapes } from './placement-shapes.ts';

/** What a task is to placement. */
const AS = {
  /** Nothing: not yet, or no longer. */
  none: 0,
  waiting: 1,
  confirming: 2,
  held: 3,
  /** Held, and no longer meant to run. */
  inactive: 4,
} as const;

/** One of the above. */
type As = number;

/** The thread decided it, so a refusal makes it wait again by itself. */
const DECIDED = 1;
/** The decision is with the store. */
const PROPOSED = 2;
const DIRTY = 4;

const NOWHERE = -1;

/** A decision that the store is to be asked about. */
export type Proposal = {
  readonly number: number;
  readonly taskId: string;
  readonly nodeId: string;
};

type Send = (message: ToPlacement) => void;

/** Columns of one flush. */
class Columns {
  readonly gone = new Int32List();
  readonly inactive = new Int32List();
  readonly refused = new Int32List();
  readonly place = [new Int32List(), new Int32List()] as const;
  readonly confirm = [new Int32List(), new Int32List(), new Int32List()] as const;
  readonly held = [new Int32List(), new Int32List(), new Int32List(), new Int32List()] as const;
  readonly claims: TaskClaims[] = [];
}

export class PlacementBook {
  readonly nodes = new PlacementNodes();
  readonly shapes = new PlacementShapes();
  readonly #numbers = new Numbers();
  readonly #numberOf = new Map<string, number>();
  readonly #ids: string[] = [];
  #shape = new Int32Array(0);
  #want = new Uint8Array(0);
  #wantNode = new Int32Array(0);
  #told = new Uint8Array(0);
  #toldNode = new Int32Array(0);
  #flags = new Uint8Array(0);
  #dirty = new Int32List();
  readonly #failed = new Int32List();
  #turn = 0;
  /** Whether the thread heard something since it last was to decide. */
  #owesTurn = false;
  #proposed = 0;

  /** Tasks that placement has to do with. */
  get size(): number {
    return this.#numberOf.size;
  }

  /** How many tasks or nodes, whichever are more, wait to be told. */
  get pending(): number {
    return Math.max(this.#dirty.length, this.nodes.pending);
  }

  /** Takes in a stored task. */
  task(row: TaskRow): void {
    const as = meaning(row);
    const known = this.#numberOf.get(row.id);
    if (known === undefined) {
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
  taskGone(id: string): void {
    const known = this.#numberOf.get(id);
    if (known === undefined) return;
    this.#settle(known);
    this.#setWant(known, AS.none, '');
  }

  /** Takes a decision of the thread; undefined when it is about a task that waits no more. */
  decided(number: number, node: number): Proposal | undefined {
    const told = this.#told[number];
    const nodeId = this.nodes.idOf(node);
    if ((told !== AS.waiting && told !== AS.confirming) || nodeId === undefined) return undefined;
    this.#told[number] = AS.held;
    this.#moveTold(number, nodeId);
    this.#flags[number] = this.#flag(number) | DECIDED | PROPOSED;
    this.#proposed++;
    return { number, taskId: this.#ids[number] ?? '', nodeId };
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
    for (const number of this.#numberOf.values()) {
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
    const columns = new Columns();
    const dirty = this.#dirty;
    this.#dirty = new Int32List();
    for (let at = 0; at < dirty.length; at++) {
      const number = dirty.at(at);
      if (at >= limit) {
        this.#dirty.push(number);
        continue;
      }
      this.#flags[number] = this.#flag(number) & ~DIRTY;
      this.#tellTask(number, columns, view);
    }
    this.#send(columns, nowMs, tell);
    this.shapes.retire(view, turn, tell);
    if (!decide || !this.#owesTurn) return;
    this.#owesTurn = false;
    this.#turn = turn;
    send({ t: 'turn', turn });
  }

  #send(columns: Columns, nowMs: number, send: Send): void {
    const { gone, inactive, refused, place, confirm, held } = columns;
    if (this.#failed.length > 0) send({ t: 'failed', tasks: this.#failed.copy(), atMs: nowMs });
    this.#failed.clear();
    if (refused.length > 0) send({ t: 'refused', tasks: refused.copy() });
    if (inactive.length > 0) send({ t: 'inactive', tasks: inactive.copy() });
    if (gone.length > 0) send({ t: 'gone', tasks: gone.copy() });
    this.shapes.tell(send);
    if (held[0].length > 0) {
      send({
        t: 'held',
        tasks: held[0].copy(),
        shapes: held[1].copy(),
        nodes: held[2].copy(),
        active: Uint8Array.from(held[3].copy()),
        claims: columns.claims,
      });
    }
    if (confirm[0].length > 0) {
      const [tasks, shapes, nodes] = [confirm[0].copy(), confirm[1].copy(), confirm[2].copy()];
      send({ t: 'confirm', tasks, shapes, nodes });
    }
    if (place[0].length > 0) {
      send({ t: 'place', tasks: place[0].copy(), shapes: place[1].copy() });
    }
  }

  #enter(row: TaskRow, as: As): void {
    const number = this.#numbers.take();
    this.#grow(number);
    this.#numberOf.set(row.id, number);
    this.#ids[number] = row.id;
    this.#shape[number] = this.shapes.take(row);
    this.#want[number] = AS.none;
    this.#wantNode[number] = NOWHERE;
    this.#told[number] = AS.none;
    this.#toldNode[number] = NOWHERE;
    this.#flags[number] = 0;
    this.#setWant(number, as, as === AS.waiting ? '' : row.nodeId);
  }

  #grow(number: number): void {
    while (this.#ids.length <= number) this.#ids.push('');
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
    this.#wantNode[number] = nodeId === '' ? NOWHERE : this.nodes.take(nodeId);
    if (before !== NOWHERE) this.nodes.release(before);
    this.#want[number] = as;
    this.#mark(number);
  }

  #moveTold(number: number, nodeId: string): void {
    const before = this.#toldNode[number] ?? NOWHERE;
    this.#toldNode[number] = nodeId === '' ? NOWHERE : this.nodes.take(nodeId);
    if (before !== NOWHERE) this.nodes.release(before);
  }

  #mark(number: number): void {
    if ((this.#flag(number) & DIRTY) !== 0) return;
    this.#flags[number] = this.#flag(number) | DIRTY;
    this.#dirty.push(number);
  }

  /** Brings the thread from what it was told of a task to what it should know. */
  #tellTask(number: number, columns: Columns, view: View): void {
    const isProposed = (this.#flag(number) & PROPOSED) !== 0;
    const want = isProposed ? AS.held : (this.#want[number] ?? AS.none);
    const node = (isProposed ? this.#toldNode[number] : this.#wantNode[number]) ?? NOWHERE;
    const told = this.#told[number] ?? AS.none;
    if (told === AS.none) {
      // What a former thread decided is told when the store has answered, with all that goes with it.
      if (isProposed) return;
      if (want === AS.none) this.#retire(number);
      else this.#tellNew(number, { want, node }, { columns, view });
      return;
    }
    if (told === want && (want === AS.waiting || node === this.#toldNode[number])) return;
    const isSameNode = node === this.#toldNode[number];
    if (told === AS.held && want === AS.inactive && isSameNode) {
      this.#told[number] = AS.inactive;
      columns.inactive.push(number);
    } else if (this.#isUndone(number, want)) {
      this.#told[number] = want;
      this.#moveTold(number, want === AS.waiting ? '' : (this.nodes.idOf(node) ?? ''));
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
  #leave(number: number, want: As, to: { columns: Columns; view: View }): void {
    const id = this.#ids[number] ?? '';
    this.#retire(number);
    const row = want === AS.none ? undefined : to.view.tasks.get(id);
    if (row === undefined || meaning(row) === AS.none) return;
    this.#enter(row, meaning(row));
    const fresh = this.#numberOf.get(id);
    assert.ok(fresh !== undefined, 'a task that entered has a number');
    const node = this.#wantNode[fresh] ?? NOWHERE;
    this.#tellNew(fresh, { want: meaning(row), node }, to);
  }

  #tellNew(
    number: number,
    { want, node }: { readonly want: As; readonly node: number },
    { columns, view }: { readonly columns: Columns; readonly view: View },
  ): void {
    const shape = this.#shape[number] ?? 0;
    this.shapes.need(shape);
    this.#told[number] = want;
    this.#moveTold(number, node === NOWHERE ? '' : (this.nodes.idOf(node) ?? ''));
    if (want === AS.waiting) {
      columns.place[0].push(number);
      columns.place[1].push(shape);
      return;
    }
    const list = want === AS.confirming ? columns.confirm : columns.held;
    list[0].push(number);
    list[1].push(shape);
    list[2].push(node);
    if (want === AS.confirming) return;
    columns.held[3].push(want === AS.held ? 1 : 0);
    if (!this.shapes.hasGeneric(shape)) return;
    const task = view.tasks.get(this.#ids[number] ?? '')?.toTask();
    const claims = claimsOf(task?.assignedGenericResources ?? []);
    if (claims.length > 0) columns.claims.push({ task: number, claims });
  }

  #retire(number: number): void {
    const id = this.#ids[number] ?? '';
    if (this.#numberOf.get(id) === number) this.#numberOf.delete(id);
    this.#ids[number] = '';
    this.#told[number] = AS.none;
    this.#want[number] = AS.none;
    this.shapes.release(this.#shape[number] ?? 0);
    this.#moveTold(number, '');
    const wantNode = this.#wantNode[number] ?? NOWHERE;
    if (wantNode !== NOWHERE) this.nodes.release(wantNode);
    this.#wantNode[number] = NOWHERE;
    this.#numbers.release(number, this.#turn + 1);
  }
}

/** What a stored task is to placement. */
function meaning(row: TaskRow): As {
  if (row.state < TaskState.PENDING || row.state > TaskState.RUNNING) return AS.none;
  const isWanted = row.desiredState <= TaskState.COMPLETE;
  if (row.state === TaskState.PENDING) {
    if (!isWanted) return AS.none;
    return row.nodeId === '' ? AS.waiting : AS.confirming;
  }
  if (row.nodeId === '') return AS.none;
  return isWanted ? AS.held : AS.inactive;
}

/** Whether a stored task waits for a node and is to wait no more. */
export function isObsolete(row: TaskRow): boolean {
  return row.state === TaskState.PENDING && row.desiredState > TaskState.COMPLETE;
}
