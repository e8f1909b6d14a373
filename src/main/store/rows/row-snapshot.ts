/**
 * All committed tasks as they were at one moment, read out slice by slice while the store goes on.
 *
 * A cursor passes over the rows in order. A committed row that is about to change and that the cursor
 * has not reached is copied first, as a row, and the copy given out with a later slice; a row that comes
 * to be is marked, so that the cursor passes it by.
 */
import assert from 'node:assert/strict';
import { Writer } from '../../../shared/wire/runtime.ts';
import { WIRE_FIELDS } from '../schema.ts';
import type { TaskSnapshot } from '../task-engine.ts';
import type { RowContents } from './row-contents.ts';
import { PLACE, WORD } from './row-pages.ts';

/** Rows that one slice holds at most, encoded in about 2 ms. */
const SLICE_ROWS = 1024;
const TASK_TAG = WIRE_FIELDS.task.snapshot * 8 + 2;

export class RowSnapshot {
  readonly #contents: RowContents;
  readonly #writer = new Writer(1 << 20);
  /** The running snapshot; 0 when none runs. */
  #running = 0;
  #count = 0;
  /** The first row that the cursor has not reached. */
  #cursor = 0;
  /** Copies of rows that changed, which nobody else sees. */
  #saved: number[] = [];

  constructor(contents: RowContents) {
    this.#contents = contents;
  }

  /** A committed row is about to change or to go. */
  save(row: number): void {
    if (this.#running === 0 || row < this.#cursor) return;
    const { rows } = this.#contents;
    if (rows.get(row, WORD.seen) === this.#running) return;
    rows.set(row, WORD.seen, this.#running);
    this.#saved.push(this.#contents.copy(row));
  }

  /** A row is about to be committed for the first time. */
  skip(row: number): void {
    if (this.#running !== 0) this.#contents.rows.set(row, WORD.seen, this.#running);
  }

  /**
   * Begins a snapshot of what is committed now. One at a time: the former ends, and whoever still
   * draws from it is told so.
   */
  begin(): TaskSnapshot {
    this.#end();
    const own = (this.#running = this.#count += 1);
    this.#cursor = 1;
    const checkRunning = (): void =>
      assert(this.#running === own, 'the snapshot was ended, or followed by another');
    return {
      next: () => {
        checkRunning();
        const slice = this.#slice();
        if (slice === undefined) this.#end();
        return slice;
      },
      end: () => {
        if (this.#running === own) this.#end();
      },
    };
  }

  #end(): void {
    this.#running = 0;
    for (const copy of this.#saved) this.#contents.free(copy);
    this.#saved = [];
  }

  #slice(): Uint8Array | undefined {
    if (this.#saved.length > 0) return this.#written(this.#givenOut());
    const { rows } = this.#contents;
    while (this.#cursor < rows.end) {
      const slice = this.#written(this.#scanned());
      if (slice.length > 0) return slice;
    }
    return undefined;
  }

  /** Copies, each freed once it is written. */
  *#givenOut(): Generator<number> {
    for (const copy of this.#saved.splice(0, SLICE_ROWS)) {
      yield copy;
      this.#contents.free(copy);
    }
  }

  /** The rows that stand next. */
  *#scanned(): Generator<number> {
    const { rows } = this.#contents;
    const end = Math.min(rows.end, this.#cursor + SLICE_ROWS);
    for (; this.#cursor < end; this.#cursor += 1) {
      const row = this.#cursor;
      if (!rows.isIn(row, PLACE.committed)) continue;
      if (rows.get(row, WORD.seen) !== this.#running) yield row;
    }
  }

  /** Rows of one slice are written in reverse, which is as good. */
  #written(rows: Iterable<number>): Uint8Array {
    const w = this.#writer;
    try {
      for (const row of rows) {
        const mark = w.length;
        this.#contents.encode(w, row);
        w.close(mark);
        w.varint(TASK_TAG);
      }
      return w.finish();
    } catch (error) {
      w.reset();
      throw error;
    }
  }
}
