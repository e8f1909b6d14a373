/**
 * The store's tasks as rows.
 *
 * A write makes a new version of a row in the overlay. When it commits, the committed row takes the
 * new content over and the new row keeps the old one, for the listeners, until it is settled: the
 * committed row and its lists stay where they are. No row is in both sets.
 */
import assert from 'node:assert/strict';
import { Task } from '../../../shared/wire/gen/objects.ts';
import type { Init, Writer } from '../../../shared/wire/runtime.ts';
import { peekId } from '../entry-codec.ts';
import { refusal } from '../refusals.ts';
import type { TaskEngine, TaskSnapshot, TaskUsage } from '../task-engine.ts';
import type { NewTask, TaskChange, TaskPatch } from '../transaction.ts';
import type { TaskShared, TaskTable } from '../view.ts';
import { nextVersion, type Action, type PendingWrite, type WriteContext } from '../writes.ts';
import { bodyTemplate } from './own-parts.ts';
import { OverlayRows } from './overlay-rows.ts';
import { RowContents } from './row-contents.ts';
import { FLOAT, PLACE, WORD } from './row-pages.ts';
import { RowIds } from './row-ids.ts';
import { RowSet } from './row-set.ts';
import { RowSnapshot } from './row-snapshot.ts';
import {
  committedRow,
  CommittedRows,
  HeadRows,
  pendingRow,
  type PendingRow,
  type RowState,
} from './row-tables.ts';
import { takeApart, type TaskParts } from './task-parts.ts';
import { Row } from './task-row.ts';

export class TaskRows implements TaskEngine {
  readonly committed: TaskTable;
  readonly head: TaskTable;
  readonly #contents: RowContents;
  readonly #committed: RowSet;
  readonly #overlay: OverlayRows;
  readonly #committedIds: RowIds;
  readonly #pending = new Map<string, PendingRow>();
  readonly #state: RowState;
  readonly #snapshot: RowSnapshot;
  readonly #commits: Commits;
  /** Loose rows that the listeners of applied changes may still look at. */
  #applied: number[] = [];
  /**
   * Windows onto committed rows that the listeners of the commit being applied will be given: a second
   * change of one task in one entry moves the content that the first one's window shows.
   */
  readonly #told = new Map<number, Row>();

  /** `seal` sees every decoded shared part; tests freeze there. */
  constructor(seal: (shared: TaskShared) => TaskShared = (shared) => shared) {
    this.#contents = new RowContents(seal);
    const { rows } = this.#contents;
    this.#committed = new RowSet(rows, PLACE.committed);
    this.#committedIds = new RowIds(rows);
    this.#overlay = new OverlayRows(rows);
    this.#snapshot = new RowSnapshot(this.#contents);
    this.#state = {
      contents: this.#contents,
      committed: this.#committed,
      overlay: this.#overlay,
      committedIds: this.#committedIds,
      pending: this.#pending,
    };
    this.committed = new CommittedRows(this.#state);
    this.head = new HeadRows(this.#state);
    this.#commits = {
      contents: this.#contents,
      create: (row, pending) => this.#commitCreate(row, pending),
      update: (row, pending) => this.#commitUpdate(row, pending),
      remove: (row, pending) => this.#commitRemove(row, pending),
      restore: (id, pending, before) => this.#setPending(id, pending, before),
    };
  }

  usage(): TaskUsage {
    const { rows, slab, services, nodes, texts, parts } = this.#contents;
    return {
      rows: rows.live,
      values: slab.size,
      services: services.size,
      nodes: nodes.size,
      texts: texts.size,
      sharedParts: parts.size,
      allocatedBytes: rows.allocatedBytes + slab.allocatedBytes,
    };
  }

  create(task: Task, context: WriteContext): void {
    assert(task.id !== '', 'a task without an id');
    const before = this.#pending.get(task.id);
    if (this.#headRow(task.id, before) !== 0) throw refusal('EXISTS');
    const row = this.#contents.fromTask(task);
    this.#contents.setCreated(row, context.now);
    this.#write(row, { action: 'create', before, base: before?.base ?? 0 }, context);
  }

  createMany(template: Init<Task>, tasks: readonly NewTask[], context: WriteContext): void {
    const ids = new Set<string>();
    for (const { id } of tasks) {
      if (this.#headRow(id, this.#pending.get(id)) !== 0 || ids.has(id)) throw refusal('EXISTS');
      ids.add(id);
    }
    const whole = Task.create(template);
    const bodyOf = bodyTemplate(whole);
    const model = this.#contents.fromTask(whole);
    this.#contents.setCreated(model, context.now);
    for (const { id, slot, nodeId, name } of tasks) {
      const row = this.#contents.copyAs(model, { id, slot, nodeId, body: bodyOf(name) });
      const before = this.#pending.get(id);
      this.#write(row, { action: 'create', before, base: before?.base ?? 0 }, context);
    }
    this.#contents.free(model);
  }

  patch(id: string, patch: TaskPatch, context: WriteContext, place?: number): void {
    const committed = committedRow(this.#state, id, place);
    const before = pendingRow(this.#state, id, committed);
    const stored = before?.row ?? committed;
    if (stored === 0) throw refusal('NOT_EXIST');
    const row = this.#contents.copy(stored);
    this.#contents.patch(row, patch);
    this.#write(row, { action: 'update', before, base: before?.base ?? stored }, context);
  }

  update(task: Task, context: WriteContext): void {
    const before = this.#pending.get(task.id);
    const stored = this.#headRow(task.id, before);
    if (stored === 0) throw refusal('NOT_EXIST');
    if (this.#contents.rows.getFloat(stored, FLOAT.version) !== task.meta.version.index) {
      throw refusal('OUT_OF_SEQUENCE');
    }
    const row = this.#contents.fromTask(task);
    this.#contents.setCreated(row, this.#contents.created(stored));
    this.#write(row, { action: 'update', before, base: before?.base ?? stored }, context);
  }

  remove(id: string, context: WriteContext): void {
    const before = this.#pending.get(id);
    const stored = this.#headRow(id, before);
    if (stored === 0) throw refusal('NOT_EXIST');
    const row = this.#contents.copy(stored);
    const pending = { row: 0, base: before?.base ?? stored };
    this.#setPending(id, pending, before);
    context.add(new RowWrite(this.#commits, { action: 'remove', row, pending, before }));
  }

  apply(action: Action, bytes: Uint8Array): TaskChange | undefined {
    assert(this.#pending.size === 0, 'a change from elsewhere came while own ones were in flight');
    if (action === 'remove') return this.#applyRemoval(this.#committedIds.get(peekId(bytes)));
    const parts = takeApart(bytes);
    return this.#applyParts(this.#committedIds.get(parts.id), parts);
  }

  load(bytes: Uint8Array): void {
    this.apply('create', bytes);
    this.settle(); // nobody is told
  }

  *changesSince(former: TaskRows): Generator<TaskChange | undefined, void> {
    for (const row of this.#contents.rows.inPlace(PLACE.committed)) {
      const object = new Row(this.#contents, row);
      const known = former.#committedIds.get(object.id);
      if (known === 0) yield { kind: 'task', action: 'create', object };
      else if (this.#isSame(row, former, known)) yield undefined;
      else yield { kind: 'task', action: 'update', object, old: new Row(former.#contents, known) };
    }
    for (const row of former.#contents.rows.inPlace(PLACE.committed)) {
      const object = new Row(former.#contents, row);
      const isGone = this.#committedIds.get(object.id) === 0;
      yield isGone ? { kind: 'task', action: 'remove', object } : undefined;
    }
  }

  settle(): void {
    this.#told.clear();
    for (const row of this.#applied) this.#contents.free(row);
    this.#applied = [];
  }

  dropOverlay(): void {
    for (const [id, pending] of this.#pending) this.#setPending(id, undefined, pending);
  }

  snapshot(): TaskSnapshot {
    return this.#snapshot.begin();
  }

  #isSame(row: number, former: TaskRows, known: number): boolean {
    return Buffer.compare(this.#contents.bytes(row), former.#contents.bytes(known)) === 0;
  }

  #applyParts(known: number, parts: TaskParts): TaskChange {
    const row = this.#contents.fromParts(parts);
    if (known === 0) {
      this.#addCommitted(row);
      return { kind: 'task', action: 'create', object: this.#tell(row) };
    }
    this.#applied.push(row);
    return this.#exchangeCommitted(known, row);
  }

  #applyRemoval(known: number): TaskChange | undefined {
    if (known === 0) return undefined;
    this.#removeCommitted(known);
    this.#applied.push(known);
    return { kind: 'task', action: 'remove', object: this.#tell(known) };
  }

  /** A window for the listeners; after the last change of a task nothing will move what it shows. */
  #tell(row: number, isLast = false): Row {
    const window = new Row(this.#contents, row);
    if (!isLast) this.#told.set(row, window);
    return window;
  }

  /** The row that the head shows for an id, given what is pending for it; 0 for none. */
  #headRow(id: string, pending: PendingRow | undefined): number {
    return pending === undefined ? this.#committedIds.get(id) : pending.row;
  }

  /** Puts a new version on the head. */
  #write(
    row: number,
    { action, before, base }: { action: Action; before: PendingRow | undefined; base: number },
    context: WriteContext,
  ): void {
    const version =
      action === 'create'
        ? context.version
        : nextVersion(context, this.#contents.rows.getFloat(row, FLOAT.version));
    this.#contents.setVersion(row, version, context.now);
    const pending = { row, base };
    this.#setPending(this.#contents.rows.id(row), pending, before);
    context.add(new RowWrite(this.#commits, { action, row, pending, before }));
  }

  /** Replaces what is pending for an id, `last`, by `next`. */
  #setPending(id: string, next: PendingRow | undefined, last: PendingRow | undefined): void {
    if (last !== undefined && last.row !== 0) this.#overlay.remove(last.row);
    if (next === undefined) {
      this.#pending.delete(id);
      if (last !== undefined && last.base !== 0) this.#committed.shadow(last.base, -1);
      return;
    }
    this.#pending.set(id, next);
    if (last === undefined && next.base !== 0) this.#committed.shadow(next.base, 1);
    if (next.row !== 0) this.#overlay.add(next.row);
  }

  /**
   * A write commits: it leaves the head, unless a later one of its task is there. Returns what is
   * pending for the task, this write's or that one's.
   */
  #leaveHead(id: string, pending: PendingRow): PendingRow {
    const latest = this.#pending.get(id);
    assert(latest !== undefined, `a write of ${id} commits that is not pending`);
    if (latest === pending) this.#setPending(id, undefined, pending);
    return latest;
  }

  #commitCreate(row: number, pending: PendingRow): TaskChange {
    const latest = this.#leaveHead(this.#contents.rows.id(row), pending);
    assert(latest.base === 0, 'a create commits of a task that is there');
    this.#addCommitted(row);
    const isLast = latest === pending;
    if (!isLast) {
      latest.base = row;
      this.#committed.shadow(row, 1);
    }
    return { kind: 'task', action: 'create', object: this.#tell(row, isLast) };
  }

  #commitUpdate(row: number, pending: PendingRow): TaskChange {
    const latest = this.#leaveHead(this.#contents.rows.id(row), pending);
    assert(latest.base !== 0, 'an update commits of a task that is not there');
    return this.#exchangeCommitted(latest.base, row, latest === pending);
  }

  #commitRemove(row: number, pending: PendingRow): { change: TaskChange; row: number } {
    const latest = this.#leaveHead(this.#contents.rows.id(row), pending);
    const { base } = latest;
    assert(base !== 0, 'a removal commits of a task that is not there');
    this.#removeCommitted(base);
    latest.base = 0;
    const object = this.#tell(base, latest === pending);
    return { change: { kind: 'task', action: 'remove', object }, row: base };
  }

  #addCommitted(row: number): void {
    this.#snapshot.skip(row);
    this.#committed.add(row);
    this.#committedIds.add(row);
  }

  /** The committed row takes the content of a loose one, which keeps the old. */
  #exchangeCommitted(known: number, row: number, isLast = false): TaskChange {
    this.#snapshot.save(known);
    const shadowed = this.#contents.rows.get(known, WORD.shadowed) === 1;
    if (shadowed) this.#committed.shadow(known, -1);
    this.#committed.exchange(known, row);
    if (shadowed) this.#committed.shadow(known, 1);
    if (this.#told.size > 0) this.#told.get(known)?.follow(row);
    const old = new Row(this.#contents, row);
    return { kind: 'task', action: 'update', object: this.#tell(known, isLast), old };
  }

  #removeCommitted(known: number): void {
    this.#snapshot.save(known);
    if (this.#contents.rows.get(known, WORD.shadowed) === 1) this.#committed.shadow(known, -1);
    this.#committed.remove(known);
    this.#committedIds.remove(known);
  }
}

/** What a write needs of the table that it was made on. */
type Commits = {
  readonly contents: RowContents;
  readonly create: (row: number, pending: PendingRow) => TaskChange;
  readonly update: (row: number, pending: PendingRow) => TaskChange;
  readonly remove: (row: number, pending: PendingRow) => { change: TaskChange; row: number };
  /** Takes a pending write back: `before` is pending again. */
  readonly restore: (id: string, before: PendingRow | undefined, pending: PendingRow) => void;
};

type Made = {
  readonly action: Action;
  /** The new version; for a removal a copy of the last. */
  readonly row: number;
  readonly pending: PendingRow;
  readonly before: PendingRow | undefined;
};

/** One write of one task. */
class RowWrite implements PendingWrite {
  readonly kind = 'task';
  readonly action: Action;
  readonly bytesMax: number;
  readonly #table: Commits;
  readonly #row: number;
  readonly #pending: PendingRow;
  readonly #before: PendingRow | undefined;
  /** The committed row that this write has removed. */
  #removed = 0;

  constructor(table: Commits, made: Made) {
    this.#table = table;
    this.action = made.action;
    this.#row = made.row;
    this.#pending = made.pending;
    this.#before = made.before;
    this.bytesMax = table.contents.bytesMax(made.row);
  }

  encode(writer: Writer): void {
    this.#table.contents.encode(writer, this.#row);
  }

  undo(): void {
    const { contents } = this.#table;
    this.#table.restore(contents.rows.id(this.#row), this.#before, this.#pending);
    contents.free(this.#row);
  }

  commit(): TaskChange {
    if (this.action === 'create') return this.#table.create(this.#row, this.#pending);
    if (this.action === 'update') return this.#table.update(this.#row, this.#pending);
    const { change, row } = this.#table.remove(this.#row, this.#pending);
    this.#removed = row;
    return change;
  }

  settle(): void {
    if (this.action !== 'create') this.drop();
    if (this.#removed !== 0) this.#table.contents.free(this.#removed);
  }

  drop(): void {
    this.#table.contents.free(this.#row);
  }
}
