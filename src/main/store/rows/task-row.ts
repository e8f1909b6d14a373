/** A window onto a row. It is refused once the row has another content, or none. */
import assert from 'node:assert/strict';
import type { Task } from '../../../shared/wire/gen/objects.ts';
import type { TaskState, TaskStatus } from '../../../shared/wire/gen/types.ts';
import type { Writer } from '../../../shared/wire/runtime.ts';
import type { TaskRow, TaskShared } from '../view.ts';
import type { RowContents } from './row-contents.ts';
import { FLAG, FLOAT, WORD, type RowPage } from './row-pages.ts';

export class Row implements TaskRow {
  readonly #contents: RowContents;
  #page: RowPage;
  #row: number;
  readonly #place: number;
  /** Where the row's words begin in its page. */
  #words: number;
  #generation: number;

  constructor(contents: RowContents, row: number) {
    this.#contents = contents;
    this.#row = row;
    this.#place = row;
    this.#page = contents.rows.page(row);
    this.#words = contents.rows.words(row);
    this.#generation = this.#page.words[this.#words + WORD.generation]!;
  }

  /** Goes on showing the content it shows, which now stands in another row. */
  follow(row: number): void {
    const { rows } = this.#contents;
    this.#row = row;
    this.#page = rows.page(row);
    this.#words = rows.words(row);
    this.#generation = this.#page.words[this.#words + WORD.generation]!;
  }

  #valid(): number {
    if (this.#page.words[this.#words + WORD.generation] !== this.#generation) {
      assert.fail('a task row was read after its time: rows are not kept across turns');
    }
    return this.#row;
  }

  #word(word: number): number {
    this.#valid();
    return this.#page.words[this.#words + word]!;
  }

  #float(float: number): number {
    this.#valid();
    return this.#page.floats[this.#words / 2 + float]!;
  }

  get id(): string {
    return this.#contents.rows.id(this.#valid());
  }
  get place(): number {
    this.#valid();
    return this.#place;
  }
  get serviceId(): string {
    return this.#contents.services.text(this.#word(WORD.service));
  }
  get nodeId(): string {
    return this.#contents.nodes.text(this.#word(WORD.node));
  }
  get slot(): number {
    return this.#float(FLOAT.slot);
  }
  get state(): TaskState {
    return this.#contents.state(this.#valid());
  }
  get desiredState(): TaskState {
    return this.#contents.desiredState(this.#valid());
  }
  get version(): number {
    return this.#float(FLOAT.version);
  }
  get specVersion(): number {
    return this.shared().specVersion?.index ?? -1;
  }
  get jobIteration(): number {
    return this.#float(FLOAT.jobIteration);
  }
  get createdAtMs(): number {
    return this.#contents.createdMs(this.#valid());
  }
  get statusAtMs(): number {
    return this.#contents.statusMs(this.#valid());
  }
  get appliedAtMs(): number {
    return this.#contents.appliedMs(this.#valid());
  }
  get message(): string {
    return this.#contents.texts.text(this.#word(WORD.message));
  }
  get err(): string {
    return this.#contents.texts.text(this.#word(WORD.err));
  }
  get allocated(): boolean {
    return this.#contents.flag(this.#valid(), FLAG.allocated);
  }

  get attached(): boolean {
    return this.#contents.flag(this.#valid(), FLAG.attached);
  }

  sameBody(other: TaskRow): boolean {
    assert(other instanceof Row && other.#contents === this.#contents, 'a row of another store');
    return this.#contents.sameBody(this.#valid(), other.#valid());
  }

  status(): TaskStatus {
    return this.#contents.status(this.#valid());
  }

  shared(): TaskShared {
    return this.#contents.parts.get(this.#word(WORD.shared)).shared;
  }

  toTask(): Task {
    return this.#contents.task(this.#valid());
  }

  toBytes(): Uint8Array {
    return this.#contents.bytes(this.#valid());
  }

  write(writer: Writer): void {
    this.#contents.encode(writer, this.#valid());
  }
}
