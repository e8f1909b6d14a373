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
import { PrefixMap } from '../prefix-map.ts';
import { refusal } from '../refusals.ts';
import type { TaskEngine, TaskSnapshot } from '../task-engine.ts';
import type { NewTask, TaskChange, TaskPatch } from '../transaction.ts';
import type { TaskShared, TaskTable } from '../view.ts';
import type { Action, PendingWrite, WriteContext } from '../writes.ts';
import { bodyTemplate } from './own-parts.ts';
import { RowContents } from './row-contents.ts';
import { FLOAT, PLACE, WORD } from './row-pages.ts';
import { RowSet } from './row-set.ts';
import { RowSnapshot } from './row-snapshot.ts';
import { CommittedRows, HeadRows, type PendingRow } from './row-tables.ts';
import { takeApart } from './task-parts.ts';
import { Row } from './task-row.ts';

export class TaskRows implements TaskEngine {
  readonly committed: TaskTable;
  readonly head: TaskTable;
  readonly #contents: RowContents;
  readonly #committed: RowSet;
  readonly #overlay: RowSet;
  readonly #committedIds = new PrefixMap<number>();
  readonly #pending = new Map<string, PendingRow>();
  readonly #snapshot: RowSnapshot;
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
    this.#overlay = new RowSet(rows, PLACE.head);
    this.#snapshot = new RowSnapshot(this.#contents);
    const state = {
      contents: this.#contents,
      committed: this.#committed,
      overlay: this.#overlay,
      committedIds: this.#committedIds,
      pending: this.#pending,
    };
    this.committed = new CommittedRows(state);
    this.head = new HeadRows(state);
  }

  /** What the tasks take, for metrics and to find leaks. */
  usage() {
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
    if (this.#headRow(task.id) !== 0) throw refusal('EXISTS');
    const row = this.#contents.fromTask(task);
    this.#contents.setCreated(row, context.now);
    this.#write('create', row, context);
  }

  createMany(template: Init<Task>, tasks: readonly NewTask[], context: WriteContext): void {
    const ids = new Set<string>();
    for (const { id } of tasks) {
      if (this.#headRow(id) !== 0 || ids.has(id)) throw refusal('EXISTS');
      ids.add(id);
    }
    const whole = Task.create(template);
    const bodyOf = bodyTemplate(whole);
    const model = this.#contents.fromTask(whole);
    this.#contents.setCreated(model, context.now);
    for (const { id, slot, nodeId, name } of tasks) {
      const row = this.#contents.copyAs(model, { id, slot, nodeId, body: bodyOf(name) });
      this.#write('create', row, context);
    }
    this.#contents.free(model);
  }

  patch(id: string, patch: TaskPatch, context: WriteContext): void {
    const stored = this.#headRow(id);
    if (stored === 0) throw refusal('NOT_EXIST');
    const row = this.#contents.copy(stored);
    this.#contents.patch(row, patch);
    this.#write('update', row, context);
  }

  update(task: Task, context: WriteContext): void {
    const { rows } = this.#contents;
    const stored = this.#headRow(task.id);
    if (stored === 0) throw refusal('NOT_EXIST');
    if (rows.getFloat(stored, FLOAT.version) !== task.meta.version.index) {
      throw refusal('OUT_OF_SEQUENCE');
    }
    const row = this.#contents.fromTask(task);
    this.#contents.setCreated(row, this.#contents.created(stored));
    this.#write('update', row, context);
  }

  remove(id: string, context: WriteContext): void {
    const stored = this.#headRow(id);
    if (stored === 0) throw refusal('NOT_EXIST');
    const before = this.#pending.get(id);
    const last = this.#contents.copy(stored);
    const pending: PendingRow = { row: 0 };
    this.#setPending(id, pending);
    context.add(this.#pendingWrite('remove', last, { pending, before }));
  }

  apply(action: Action, bytes: Uint8Array): TaskChange | undefined {
    assert(this.#pending.size === 0, 'a change from elsewhere came while own ones were in flight');
    const row = this.#contents.fromParts(takeApart(bytes));
    const id = this.#contents.rows.id(row);
    const known = this.#committedIds.get(id);
    if (action !== 'remove') return this.#put(known, row);
    this.#contents.free(row);
    if (known === undefined) return undefined;
    this.#removeCommitted(id, known);
    this.#applied.push(known);
    return { kind: 'task', action, object: this.#tell(known) };
  }

  #put(known: number | undefined, row: number): TaskChange {
    if (known === undefined) {
      this.#addCommitted(row);
      return { kind: 'task', action: 'create', object: this.#tell(row) };
    }
    this.#exchangeCommitted(known, row);
    this.#applied.push(row);
    return { kind: 'task', action: 'update', object: this.#tell(known), old: this.#row(row) };
  }

  settle(): void {
    this.#told.clear();
    for (const row of this.#applied) this.#contents.free(row);
    this.#applied = [];
  }

  dropOverlay(): void {
    for (const id of this.#pending.keys()) this.#setPending(id, undefined);
  }

  snapshot(): TaskSnapshot {
    return this.#snapshot.begin();
  }

  #row(row: number): Row {
    return new Row(this.#contents, row);
  }

  /** A window for the listeners. */
  #tell(row: number): Row {
    const window = this.#row(row);
    this.#told.set(row, window);
    return window;
  }

  #headRow(id: string): number {
    const latest = this.#pending.size === 0 ? undefined : this.#pending.get(id);
    return latest === undefined ? (this.#committedIds.get(id) ?? 0) : latest.row;
  }

  /** Puts a new version on the head. */
  #write(action: 'create' | 'update', row: number, context: WriteContext): void {
    this.#contents.setVersion(row, context.version, context.now);
    const id = this.#contents.rows.id(row);
    const before = this.#pending.get(id);
    const pending: PendingRow = { row };
    this.#setPending(id, pending);
    context.add(this.#pendingWrite(action, row, { pending, before }));
  }

  #pendingWrite(
    action: Action,
    row: number,
    { pending, before }: { pending: PendingRow; before: PendingRow | undefined },
  ): PendingWrite {
    const contents = this.#contents;
    let last = before;
    let removed = 0;
    return {
      kind: 'task',
      action,
      bytesMax: contents.bytesMax(row),
      encode: (writer: Writer) => contents.encode(writer, row),
      undo: () => {
        this.#setPending(contents.rows.id(row), last);
        contents.free(row);
      },
      commit: () => {
        last = undefined;
        if (action === 'create') return this.#commitCreate(row, pending);
        if (action === 'update') return this.#commitUpdate(row, pending);
        const change = this.#commitRemove(row, pending);
        removed = change.row;
        return change.change;
      },
      settle: () => {
        if (action !== 'create') contents.free(row);
        if (removed !== 0) contents.free(removed);
      },
      drop: () => contents.free(row),
    };
  }

  #setPending(id: string, next: PendingRow | undefined): void {
    const last = this.#pending.get(id);
    if (last !== undefined && last.row !== 0) this.#overlay.remove(last.row);
    const committed = this.#committedIds.get(id) ?? 0;
    if (committed !== 0 && (last === undefined) !== (next === undefined)) {
      this.#committed.shadow(committed, next === undefined ? -1 : 1);
    }
    if (next === undefined) this.#pending.delete(id);
    else this.#pending.set(id, next);
    if (next !== undefined && next.row !== 0) this.#overlay.add(next.row);
  }

  /** A write commits: it is no longer pending, unless a later one of its id is. */
  #leaveHead(id: string, pending: PendingRow): void {
    if (this.#pending.get(id) === pending) this.#setPending(id, undefined);
  }

  #commitCreate(row: number, pending: PendingRow): TaskChange {
    const id = this.#contents.rows.id(row);
    assert(this.#committedIds.get(id) === undefined, `create of ${id} out of order`);
    this.#leaveHead(id, pending);
    this.#addCommitted(row);
    if (this.#pending.has(id)) this.#committed.shadow(row, 1);
    return { kind: 'task', action: 'create', object: this.#tell(row) };
  }

  #commitUpdate(row: number, pending: PendingRow): TaskChange {
    const id = this.#contents.rows.id(row);
    const known = this.#committedIds.get(id);
    assert(known !== undefined, `update of ${id} out of order`);
    this.#leaveHead(id, pending);
    this.#exchangeCommitted(known, row);
    return { kind: 'task', action: 'update', object: this.#tell(known), old: this.#row(row) };
  }

  #commitRemove(row: number, pending: PendingRow): { change: TaskChange; row: number } {
    const id = this.#contents.rows.id(row);
    const known = this.#committedIds.get(id);
    assert(known !== undefined, `removal of ${id} out of order`);
    this.#leaveHead(id, pending);
    this.#removeCommitted(id, known);
    return { change: { kind: 'task', action: 'remove', object: this.#tell(known) }, row: known };
  }

  #addCommitted(row: number): void {
    this.#snapshot.skip(row);
    this.#committed.add(row);
    this.#committedIds.set(this.#contents.rows.id(row), row);
  }

  /** The committed row takes the content of a loose one, which keeps the old. */
  #exchangeCommitted(known: number, row: number): void {
    this.#snapshot.save(known);
    const shadowed = this.#contents.rows.get(known, WORD.shadowed) === 1;
    if (shadowed) this.#committed.shadow(known, -1);
    this.#committed.exchange(known, row);
    if (shadowed) this.#committed.shadow(known, 1);
    this.#told.get(known)?.follow(row);
  }

  #removeCommitted(id: string, known: number): void {
    this.#snapshot.save(known);
    if (this.#contents.rows.get(known, WORD.shadowed) === 1) this.#committed.shadow(known, -1);
    this.#committed.remove(known);
    this.#committedIds.delete(id);
  }
}
