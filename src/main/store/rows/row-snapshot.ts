/**
 * All committed tasks as they were at one moment, read out slice by slice while the store goes on.
 *
 * A cursor passes over the rows in order. A committed row that is about to change and that the cursor
 * has not reached is encoded first and given out with a later slice; a row that comes to be is marked,
 * so that the cursor passes it by.
 */
import assert from 'node:assert/strict';
import { Writer } from '../../../shared/wire/runtime.ts';
import { encodeSlice } from '../entry-codec.ts';
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
  #saved: Uint8Array[] = [];

  constructor(contents: RowContents) {
    this.#contents = contents;
  }

  /** A committed row is about to change or to go. */
  save(row: number): void {
    if (this.#running === 0 || row < this.#cursor) return;
    const { rows } = this.#contents;
    if (rows.get(row, WORD.seen) === this.#running) return;
    rows.set(row, WORD.seen, this.#running);
    this.#saved.push(this.#contents.bytes(row));
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
    const own = (this.#running = this.#count += 1);
    this.#cursor = 1;
    this.#saved = [];
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
    this.#saved = [];
  }

  #slice(): Uint8Array | undefined {
    if (this.#saved.length > 0) {
      const saved = this.#saved.splice(0, SLICE_ROWS);
      return encodeSlice('task', saved);
    }
    const { rows } = this.#contents;
    while (this.#cursor < rows.end) {
      const slice = this.#scan();
      if (slice.length > 0) return slice;
    }
    return undefined;
  }

  /** Encodes the rows that stand next. Rows of one slice are written in reverse, which is as good. */
  #scan(): Uint8Array {
    const { rows } = this.#contents;
    const w = this.#writer;
    const end = Math.min(rows.end, this.#cursor + SLICE_ROWS);
    try {
      for (; this.#cursor < end; this.#cursor += 1) {
        const row = this.#cursor;
        if (!rows.isIn(row, PLACE.committed)) continue;
        if (rows.get(row, WORD.seen) === this.#running) continue;
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
