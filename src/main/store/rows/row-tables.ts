/** How the rows are read: what is committed, and the head. */
import type { TaskState } from '../../../shared/wire/gen/types.ts';
import type { TaskPiece, TaskRow, TaskTable } from '../view.ts';
import type { RowContents } from './row-contents.ts';
import type { OverlayRows } from './overlay-rows.ts';
import type { RowIds } from './row-ids.ts';
import { FLOAT, PLACE, WORD } from './row-pages.ts';
import { OTHER_STATES, stateKey, type ListName, type RowSet } from './row-set.ts';
import { Row } from './task-row.ts';

/** The latest pending write of an id. */
export type PendingRow = {
  /** What it leaves on the head: a row, or 0 after a removal. */
  readonly row: number;
  /** The committed row of the id, 0 when there is none. */
  base: number;
};

/** The rows of a store, in both sets. */
export type RowState = {
  readonly contents: RowContents;
  readonly committed: RowSet;
  readonly overlay: OverlayRows;
  readonly committedIds: RowIds;
  readonly pending: ReadonlyMap<string, PendingRow>;
};

/** The committed row of an id, 0 for none; `place` is where it stood when last seen. */
export function committedRow(
  { contents: { rows }, committedIds }: Pick<RowState, 'contents' | 'committedIds'>,
  id: string,
  place = 0,
): number {
  if (place !== 0 && rows.isIn(place, PLACE.committed) && rows.id(place) === id) return place;
  return committedIds.get(id);
}

/** What is pending for an id, given its committed row. */
export function pendingRow(
  { contents: { rows }, pending }: Pick<RowState, 'contents' | 'pending'>,
  id: string,
  committed: number,
): PendingRow | undefined {
  const isKnown = committed !== 0 && rows.get(committed, WORD.shadowed) === 0;
  return isKnown || pending.size === 0 ? undefined : pending.get(id);
}

type CountedList = 'service' | 'node' | 'desired';

abstract class RowTable implements TaskTable {
  protected readonly state: RowState;

  constructor(state: RowState) {
    this.state = state;
  }

  abstract readonly size: number;
  protected abstract find(id: string, place?: number): number;
  /** Rows of a list for which `wanted` holds (all, when left out). */
  protected abstract collect(
    list: ListName,
    key: number,
    wanted?: (row: number) => boolean,
  ): TaskRow[];
  protected abstract collectSlot(service: number, slot: number): TaskRow[];
  protected abstract count(list: CountedList, key: number): number;
  /** Rows of a service that stand beside the committed list. */
  protected abstract beside(service: number): Iterable<number>;
  /** What is shown for a committed row of the service: a row, or 0. */
  protected abstract shown(row: number, service: number): number;
  abstract byIdPrefix(prefix: string): readonly TaskRow[];
  abstract idBeginnings(): readonly string[];
  abstract all(): Iterable<TaskRow>;

  protected row(row: number): TaskRow {
    return new Row(this.state.contents, row);
  }

  get(id: string, place?: number): TaskRow | undefined {
    const row = this.find(id, place);
    return row === 0 ? undefined : this.row(row);
  }

  byService(serviceId: string): readonly TaskRow[] {
    const service = this.state.contents.services.find(serviceId);
    return service === undefined ? [] : this.collect('service', service);
  }

  pieceOfService(serviceId: string, from: string | undefined, max: number): TaskPiece {
    const { contents, committed, committedIds } = this.state;
    const { rows, services } = contents;
    const service = services.find(serviceId);
    if (service === undefined) return { rows: [], next: undefined };
    const found: TaskRow[] = [];
    let at = from === undefined ? 0 : committedIds.get(from);
    if (at === 0 || rows.get(at, WORD.service) !== service) {
      // The first piece, or the one to go on with is gone: all is met, again if need be.
      for (const row of this.beside(service)) found.push(this.row(row));
      at = committed.service.first(service);
    }
    for (let steps = 0; at !== 0 && steps < max; steps += 1) {
      const row = this.shown(at, service);
      if (row !== 0) found.push(this.row(row));
      at = committed.service.next(at);
    }
    return { rows: found, next: at === 0 ? undefined : rows.id(at) };
  }

  get placesEnd(): number {
    return this.state.contents.rows.end;
  }

  byPlace(from: number, end: number): readonly TaskRow[] {
    const { rows } = this.state.contents;
    const found: TaskRow[] = [];
    for (let place = from; place < end; place += 1) {
      if (rows.isIn(place, PLACE.committed)) found.push(this.row(place));
    }
    return found;
  }

  byNode(nodeId: string): readonly TaskRow[] {
    const node = this.state.contents.nodes.find(nodeId);
    return node === undefined ? [] : this.collect('node', node);
  }

  bySlot(serviceId: string, slot: number): readonly TaskRow[] {
    const { rows, services } = this.state.contents;
    const service = services.find(serviceId);
    if (service === undefined) return [];
    if (slot !== 0) return this.collectSlot(service, slot);
    return this.collect('service', service, (row) => rows.getFloat(row, FLOAT.slot) === 0);
  }

  byState(state: TaskState): readonly TaskRow[] {
    const { rows } = this.state.contents;
    return this.collect('state', stateKey(state), (row) => rows.get(row, WORD.state) === state);
  }

  byDesiredState(state: TaskState): readonly TaskRow[] {
    const { rows } = this.state.contents;
    return this.collect('desired', stateKey(state), (row) => rows.get(row, WORD.desired) === state);
  }

  byReference(kind: 'network' | 'secret' | 'config', id: string): readonly TaskRow[] {
    const found: TaskRow[] = [];
    for (const part of this.state.contents.parts.byReference(kind, id)) {
      for (const row of this.collect('shared', part)) found.push(row);
    }
    return found;
  }

  countByService(serviceId: string): number {
    const service = this.state.contents.services.find(serviceId);
    return service === undefined ? 0 : this.count('service', service);
  }

  countByNode(nodeId: string): number {
    const node = this.state.contents.nodes.find(nodeId);
    return node === undefined ? 0 : this.count('node', node);
  }

  countByDesiredState(state: TaskState): number {
    const key = stateKey(state);
    return key === OTHER_STATES ? this.byDesiredState(state).length : this.count('desired', key);
  }

  protected isOfSlot(row: number, service: number, slot: number): boolean {
    const { rows } = this.state.contents;
    return rows.get(row, WORD.service) === service && rows.getFloat(row, FLOAT.slot) === slot;
  }
}

export class CommittedRows extends RowTable {
  get size(): number {
    return this.state.committed.size;
  }

  protected find(id: string, place?: number): number {
    return committedRow(this.state, id, place);
  }

  protected collect(list: ListName, key: number, wanted?: (row: number) => boolean): TaskRow[] {
    const rows = this.state.committed[list];
    const found: TaskRow[] = [];
    for (let row = rows.first(key); row !== 0; row = rows.next(row)) {
      if (wanted === undefined || wanted(row)) found.push(this.row(row));
    }
    return found;
  }

  protected collectSlot(service: number, slot: number): TaskRow[] {
    const { slots } = this.state.committed;
    const found: TaskRow[] = [];
    for (let row = slots.first(service, slot); row !== 0; row = slots.next(row)) {
      if (this.isOfSlot(row, service, slot)) found.push(this.row(row));
    }
    return found;
  }

  protected count(list: CountedList, key: number): number {
    return this.state.committed[list].count(key);
  }

  protected beside(): Iterable<number> {
    return [];
  }

  protected shown(row: number): number {
    return row;
  }

  byIdPrefix(prefix: string): readonly TaskRow[] {
    return Array.from(this.state.committedIds.withPrefix(prefix), (row) => this.row(row));
  }

  idBeginnings(): readonly string[] {
    return this.state.committedIds.beginnings();
  }

  *all(): Generator<TaskRow> {
    const { rows } = this.state.contents;
    const numbers = Int32Array.from(rows.inPlace(PLACE.committed));
    for (const row of numbers) {
      if (rows.isIn(row, PLACE.committed)) yield this.row(row);
    }
  }
}

export class HeadRows extends RowTable {
  get size(): number {
    const { committed, overlay } = this.state;
    return committed.size - committed.shadowedSize + overlay.size;
  }

  protected find(id: string, place?: number): number {
    const row = committedRow(this.state, id, place);
    return pendingRow(this.state, id, row)?.row ?? row;
  }

  protected collect(list: ListName, key: number, wanted?: (row: number) => boolean): TaskRow[] {
    const { committed, overlay, contents } = this.state;
    const found: TaskRow[] = [];
    for (let row = committed[list].first(key); row !== 0; row = committed[list].next(row)) {
      if (contents.rows.get(row, WORD.shadowed) === 1) continue;
      if (wanted === undefined || wanted(row)) found.push(this.row(row));
    }
    const proposed = overlay[list];
    for (let row = proposed.first(key); row !== 0; row = proposed.next(row)) {
      if (wanted === undefined || wanted(row)) found.push(this.row(row));
    }
    return found;
  }

  protected collectSlot(service: number, slot: number): TaskRow[] {
    const { committed, overlay, contents } = this.state;
    const found: TaskRow[] = [];
    const { slots } = committed;
    for (let row = slots.first(service, slot); row !== 0; row = slots.next(row)) {
      if (contents.rows.get(row, WORD.shadowed) === 1) continue;
      if (this.isOfSlot(row, service, slot)) found.push(this.row(row));
    }
    const pending = overlay.slots;
    for (let row = pending.first(service, slot); row !== 0; row = pending.next(row)) {
      if (this.isOfSlot(row, service, slot)) found.push(this.row(row));
    }
    return found;
  }

  protected count(list: CountedList, key: number): number {
    const committed = this.state.committed[list];
    return committed.count(key) - committed.shadowed(key) + this.state.overlay[list].count(key);
  }

  protected *beside(service: number): Generator<number> {
    const list = this.state.overlay.service;
    for (let row = list.first(service); row !== 0; row = list.next(row)) yield row;
  }

  protected shown(row: number, service: number): number {
    const { rows } = this.state.contents;
    if (rows.get(row, WORD.shadowed) === 0) return row;
    // What was written since the first piece may not have been met there.
    const pending = this.state.pending.get(rows.id(row))?.row ?? 0;
    return pending !== 0 && rows.get(pending, WORD.service) === service ? pending : 0;
  }

  byIdPrefix(prefix: string): readonly TaskRow[] {
    const { committedIds, pending, contents } = this.state;
    const found: TaskRow[] = [];
    for (const row of committedIds.withPrefix(prefix)) {
      if (contents.rows.get(row, WORD.shadowed) === 0) found.push(this.row(row));
    }
    for (const [id, { row }] of pending) {
      if (row !== 0 && id.startsWith(prefix)) found.push(this.row(row));
    }
    return found;
  }

  idBeginnings(): readonly string[] {
    const { committedIds, pending } = this.state;
    const found = new Set(committedIds.beginnings());
    for (const id of pending.keys()) found.add(id.slice(0, 2));
    return [...found];
  }

  *all(): Generator<TaskRow> {
    const { rows } = this.state.contents;
    const numbers: number[] = [];
    for (const row of rows.inPlace(PLACE.committed)) {
      if (rows.get(row, WORD.shadowed) === 0) numbers.push(row);
    }
    for (const row of this.state.overlay.all()) numbers.push(row);
    for (const row of numbers) {
      if (!rows.isIn(row, PLACE.free)) yield this.row(row);
    }
  }
}
