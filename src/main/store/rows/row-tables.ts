/** How the rows are read: what is committed, and the head. */
import type { TaskState } from '../../../shared/wire/gen/types.ts';
import type { PrefixMap } from '../prefix-map.ts';
import type { TaskRow, TaskTable } from '../view.ts';
import type { RowContents } from './row-contents.ts';
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
  readonly overlay: RowSet;
  readonly committedIds: PrefixMap<number>;
  readonly pending: ReadonlyMap<string, PendingRow>;
};

type CountedList = 'service' | 'node' | 'desired';

abstract class RowTable implements TaskTable {
  protected readonly state: RowState;

  constructor(state: RowState) {
    this.state = state;
  }

  abstract readonly size: number;
  protected abstract find(id: string): number;
  /** Rows of a list for which `wanted` holds (all, when left out). */
  protected abstract collect(
    list: ListName,
    key: number,
    wanted?: (row: number) => boolean,
  ): TaskRow[];
  protected abstract collectSlot(service: number, slot: number): TaskRow[];
  protected abstract count(list: CountedList, key: number): number;
  abstract byIdPrefix(prefix: string): readonly TaskRow[];
  abstract idBeginnings(): readonly string[];
  abstract all(): Iterable<TaskRow>;

  protected row(row: number): TaskRow {
    return new Row(this.state.contents, row);
  }

  get(id: string): TaskRow | undefined {
    const row = this.find(id);
    return row === 0 ? undefined : this.row(row);
  }

  byService(serviceId: string): readonly TaskRow[] {
    const service = this.state.contents.services.find(serviceId);
    return service === undefined ? [] : this.collect('service', service);
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

  protected find(id: string): number {
    return this.state.committedIds.get(id) ?? 0;
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

  protected find(id: string): number {
    const { pending, committedIds } = this.state;
    const latest = pending.size === 0 ? undefined : pending.get(id);
    return latest === undefined ? (committedIds.get(id) ?? 0) : latest.row;
  }

  protected collect(list: ListName, key: number, wanted?: (row: number) => boolean): TaskRow[] {
    const { committed, overlay, contents } = this.state;
    const found: TaskRow[] = [];
    for (let row = committed[list].first(key); row !== 0; row = committed[list].next(row)) {
      if (contents.rows.get(row, WORD.shadowed) === 1) continue;
      if (wanted === undefined || wanted(row)) found.push(this.row(row));
    }
    for (let row = overlay[list].first(key); row !== 0; row = overlay[list].next(row)) {
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
    for (const row of rows.inPlace(PLACE.head)) numbers.push(row);
    for (const row of numbers) {
      if (!rows.isIn(row, PLACE.free)) yield this.row(row);
    }
  }
}
