/**
 * The content of rows: tasks taken apart into numbers, shared strings and encoded parts, and put
 * together again. Every row holds what it refers to; `free` lets go of it.
 */
import { Task } from '../../../shared/wire/gen/objects.ts';
import { TaskStatus, type TaskState } from '../../../shared/wire/gen/types.ts';
import type { Timestamp } from '../../../shared/wire/gen/well-known.ts';
import { Writer } from '../../../shared/wire/runtime.ts';
import type { TaskPatch } from '../transaction.ts';
import type { TaskShared } from '../view.ts';
import { Interner } from './interner.ts';
import { encodeBody, encodeRuntime, bodyFlags, patchBody, type BodyPatch } from './own-parts.ts';
import { FLAG, FLOAT, RowPages, WORD } from './row-pages.ts';
import { SharedParts } from './shared-parts.ts';
import { Slab } from './slab.ts';
import type { TaskParts } from './task-parts.ts';

/** One time of a row: where its seconds and nanos stand, and the flag that says it is there. */
type TimeColumns = { readonly seconds: number; readonly nanos: number; readonly flag: number };
const TIME = {
  created: { seconds: FLOAT.createdSeconds, nanos: WORD.createdNanos, flag: FLAG.created },
  updated: { seconds: FLOAT.updatedSeconds, nanos: WORD.updatedNanos, flag: FLAG.updated },
  status: { seconds: FLOAT.statusSeconds, nanos: WORD.statusNanos, flag: FLAG.statusTime },
  applied: { seconds: FLOAT.appliedSeconds, nanos: WORD.appliedNanos, flag: FLAG.applied },
} as const satisfies Record<string, TimeColumns>;

/** Most bytes of a task's own fields beside its strings and encoded parts. */
const OWN_BYTES_MAX = 224;

const writer = new Writer(65_536);

export class RowContents {
  readonly rows = new RowPages();
  readonly slab = new Slab();
  readonly services = new Interner();
  readonly nodes = new Interner();
  readonly texts = new Interner();
  readonly parts: SharedParts;
  /** Tasks that come one after the other often share. */
  #lastShared = 0;

  constructor(seal: (shared: TaskShared) => TaskShared) {
    this.parts = new SharedParts(seal);
  }

  /** A row with the task's content, its meta as it stands. */
  fromTask(task: Task): number {
    const { rows } = this;
    const body = encodeBody(task);
    const row = this.#begin({
      id: task.id,
      serviceId: task.serviceId,
      nodeId: task.nodeId,
      slot: task.slot,
      jobIteration: task.jobIteration?.index,
      shared: this.parts.addShared(task),
      body,
      bodyFlags: bodyFlags(body),
    });
    rows.set(row, WORD.desired, task.desiredState);
    rows.setFloat(row, FLOAT.version, task.meta.version.index);
    this.#setTime(row, TIME.created, task.meta.createdAt);
    this.#setTime(row, TIME.updated, task.meta.updatedAt);
    this.#setStatus(row, task.status);
    return row;
  }

  /** A row with the content of a task that was taken apart. @throws WireError */
  fromParts(parts: TaskParts): number {
    const { rows } = this;
    const { id, serviceId, nodeId, slot, jobIteration, body, status } = parts;
    const shared = this.parts.addBytes(parts.shared, this.#lastShared);
    this.#lastShared = shared;
    const flags = bodyFlags(body);
    const own = { id, serviceId, nodeId, slot, jobIteration, body };
    const row = this.#begin({ ...own, shared, bodyFlags: flags });
    rows.set(row, WORD.desired, parts.desiredState);
    rows.setFloat(row, FLOAT.version, parts.meta.version.index);
    this.#setTime(row, TIME.created, parts.meta.createdAt);
    this.#setTime(row, TIME.updated, parts.meta.updatedAt);
    this.#setStatus(row, status);
    return row;
  }

  /** A row that differs from another's content in nothing yet. */
  copy(from: number): number {
    const { rows } = this;
    const row = rows.take(rows.id(from));
    rows.copyContent(from, row);
    const { words } = rows.page(row);
    const at = rows.words(row);
    this.#holdCommon(words, at);
    this.nodes.hold(words[at + WORD.node]!);
    this.slab.hold(words[at + WORD.body]!);
    return row;
  }

  /** A copy of a row under another id, slot, node and body. */
  copyAs(
    from: number,
    own: { id: string; slot: number; nodeId: string; body: Uint8Array },
  ): number {
    const { rows } = this;
    const row = rows.take(own.id);
    rows.copyContent(from, row);
    rows.setFloat(row, FLOAT.slot, own.slot);
    const { words } = rows.page(row);
    const at = rows.words(row);
    this.#holdCommon(words, at);
    words[at + WORD.node] = this.nodes.add(own.nodeId);
    words[at + WORD.body] = this.slab.add(own.body);
    return row;
  }

  /** What every copy of a row holds as well. */
  #holdCommon(words: Int32Array, at: number): void {
    this.services.hold(words[at + WORD.service]!);
    this.texts.hold(words[at + WORD.message]!);
    this.texts.hold(words[at + WORD.err]!);
    this.texts.hold(words[at + WORD.appliedBy]!);
    this.parts.hold(words[at + WORD.shared]!);
    this.slab.hold(words[at + WORD.runtime]!);
  }

  /** Lets go of all that the row holds, and of the row. */
  free(row: number): void {
    const { rows } = this;
    const { words } = rows.page(row);
    const at = rows.words(row);
    this.services.release(words[at + WORD.service]!);
    this.nodes.release(words[at + WORD.node]!);
    this.texts.release(words[at + WORD.message]!);
    this.texts.release(words[at + WORD.err]!);
    this.texts.release(words[at + WORD.appliedBy]!);
    this.parts.release(words[at + WORD.shared]!);
    this.slab.release(words[at + WORD.body]!);
    this.slab.release(words[at + WORD.runtime]!);
    rows.give(row);
  }

  /** Writes the fields of `patch` into a row that nobody else sees yet. */
  patch(row: number, patch: TaskPatch): void {
    const { rows } = this;
    if (patch.nodeId !== undefined) {
      const before = rows.get(row, WORD.node);
      rows.set(row, WORD.node, this.nodes.add(patch.nodeId));
      this.nodes.release(before);
    }
    if (patch.desiredState !== undefined) rows.set(row, WORD.desired, patch.desiredState);
    if (patch.status !== undefined) this.#replaceStatus(row, patch.status);
    if (patch.state !== undefined) rows.set(row, WORD.state, patch.state);
    if (patch.message !== undefined) this.#replaceText(row, WORD.message, patch.message);
    if (patch.err !== undefined) this.#replaceText(row, WORD.err, patch.err);
    if ('networks' in patch || 'endpoint' in patch || 'assignedGenericResources' in patch) {
      this.#patchBody(row, patch);
    }
  }

  setVersion(row: number, version: number, updatedAt: Timestamp): void {
    this.rows.setFloat(row, FLOAT.version, version);
    this.#setTime(row, TIME.updated, updatedAt);
  }

  setCreated(row: number, createdAt: Timestamp | undefined): void {
    this.#setTime(row, TIME.created, createdAt);
  }

  created(row: number): Timestamp | undefined {
    return this.#time(row, TIME.created);
  }

  /** Milliseconds of a time; 0 when it is not there. */
  createdMs(row: number): number {
    return this.#millis(row, TIME.created);
  }

  statusMs(row: number): number {
    return this.#millis(row, TIME.status);
  }

  appliedMs(row: number): number {
    return this.#millis(row, TIME.applied);
  }

  flag(row: number, flag: number): boolean {
    return (this.rows.get(row, WORD.flags) & flag) !== 0;
  }

  /** Whether two versions of a task differ in nothing but meta, status and desired state. */
  sameBody(one: number, other: number): boolean {
    const { rows } = this;
    for (const word of [WORD.node, WORD.service, WORD.shared] as const) {
      if (rows.get(one, word) !== rows.get(other, word)) return false;
    }
    if (rows.getFloat(one, FLOAT.slot) !== rows.getFloat(other, FLOAT.slot)) return false;
    if (rows.getFloat(one, FLOAT.jobIteration) !== rows.getFloat(other, FLOAT.jobIteration)) {
      return false;
    }
    const body = rows.get(one, WORD.body);
    const otherBody = rows.get(other, WORD.body);
    return (
      body === otherBody || Buffer.compare(this.slab.get(body), this.slab.get(otherBody)) === 0
    );
  }

  status(row: number): TaskStatus {
    const { rows, texts } = this;
    const runtime = rows.get(row, WORD.runtime);
    const { runtimeStatus, portStatus } = TaskStatus.decode(this.slab.get(runtime));
    return {
      timestamp: this.#time(row, TIME.status),
      state: this.state(row),
      message: texts.text(rows.get(row, WORD.message)),
      err: texts.text(rows.get(row, WORD.err)),
      runtimeStatus,
      portStatus,
      appliedBy: texts.text(rows.get(row, WORD.appliedBy)),
      appliedAt: this.#time(row, TIME.applied),
    };
  }

  state(row: number): TaskState {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as it was written
    return this.rows.get(row, WORD.state) as TaskState;
  }

  desiredState(row: number): TaskState {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as it was written
    return this.rows.get(row, WORD.desired) as TaskState;
  }

  /** The whole task. */
  task(row: number): Task {
    const { rows } = this;
    const body = Task.decode(this.slab.get(rows.get(row, WORD.body)));
    const job = rows.getFloat(row, FLOAT.jobIteration);
    return {
      ...body,
      ...this.parts.get(rows.get(row, WORD.shared)).shared,
      id: rows.id(row),
      meta: {
        version: { index: rows.getFloat(row, FLOAT.version) },
        createdAt: this.#time(row, TIME.created),
        updatedAt: this.#time(row, TIME.updated),
      },
      serviceId: this.services.text(rows.get(row, WORD.service)),
      slot: rows.getFloat(row, FLOAT.slot),
      nodeId: this.nodes.text(rows.get(row, WORD.node)),
      status: this.status(row),
      desiredState: this.desiredState(row),
      jobIteration: this.flag(row, FLAG.job) ? { index: job } : undefined,
    };
  }

  /** The whole task's bytes, fresh. */
  bytes(row: number): Uint8Array {
    try {
      this.encode(writer, row);
      return writer.finish();
    } catch (error) {
      writer.reset();
      throw error;
    }
  }

  /** Upper bound of what `encode` writes. */
  bytesMax(row: number): number {
    const { rows, slab, texts } = this;
    const { words } = rows.page(row);
    const at = rows.words(row);
    return (
      OWN_BYTES_MAX +
      Buffer.byteLength(rows.id(row)) +
      this.services.byteLength(words[at + WORD.service]!) +
      this.nodes.byteLength(words[at + WORD.node]!) +
      texts.byteLength(words[at + WORD.message]!) +
      texts.byteLength(words[at + WORD.err]!) +
      texts.byteLength(words[at + WORD.appliedBy]!) +
      slab.length(words[at + WORD.body]!) +
      slab.length(words[at + WORD.runtime]!) +
      this.parts.get(words[at + WORD.shared]!).bytes.length
    );
  }

  /** Writes the task's fields in front of what `w` holds: the row's own around the encoded parts. */
  encode(w: Writer, row: number): void {
    const { rows } = this;
    w.raw(this.parts.get(rows.get(row, WORD.shared)).bytes);
    w.raw(this.slab.get(rows.get(row, WORD.body)));
    if (this.flag(row, FLAG.job)) {
      const mark = w.length;
      uint(w, 8, rows.getFloat(row, FLOAT.jobIteration));
      w.close(mark);
      w.varint(130);
    }
    int(w, 80, rows.get(row, WORD.desired));
    const status = w.length;
    this.#encodeStatus(w, row);
    w.close(status);
    w.varint(74);
    text(w, 50, this.nodes.text(rows.get(row, WORD.node)));
    uint(w, 40, rows.getFloat(row, FLOAT.slot));
    text(w, 34, this.services.text(rows.get(row, WORD.service)));
    const meta = w.length;
    this.#encodeMeta(w, row);
    w.close(meta);
    w.varint(18);
    text(w, 10, rows.id(row));
  }

  #encodeStatus(w: Writer, row: number): void {
    const { rows, texts } = this;
    this.#encodeTime(w, row, TIME.applied, 66);
    text(w, 58, texts.text(rows.get(row, WORD.appliedBy)));
    w.raw(this.slab.get(rows.get(row, WORD.runtime)));
    text(w, 34, texts.text(rows.get(row, WORD.err)));
    text(w, 26, texts.text(rows.get(row, WORD.message)));
    int(w, 16, rows.get(row, WORD.state));
    this.#encodeTime(w, row, TIME.status, 10);
  }

  #encodeMeta(w: Writer, row: number): void {
    this.#encodeTime(w, row, TIME.updated, 26);
    this.#encodeTime(w, row, TIME.created, 18);
    const version = w.length;
    uint(w, 8, this.rows.getFloat(row, FLOAT.version));
    w.close(version);
    w.varint(10);
  }

  #encodeTime(w: Writer, row: number, columns: TimeColumns, tag: number): void {
    const time = this.#time(row, columns);
    if (time === undefined) return;
    const mark = w.length;
    int(w, 16, time.nanos);
    int(w, 8, time.seconds);
    w.close(mark);
    w.varint(tag);
  }

  #begin(task: {
    readonly id: string;
    readonly serviceId: string;
    readonly nodeId: string;
    readonly slot: number;
    readonly jobIteration: number | undefined;
    readonly shared: number;
    readonly body: Uint8Array;
    readonly bodyFlags: number;
  }): number {
    const { rows } = this;
    const row = rows.take(task.id);
    rows.set(row, WORD.service, this.services.add(task.serviceId));
    rows.set(row, WORD.node, this.nodes.add(task.nodeId));
    rows.set(row, WORD.shared, task.shared);
    rows.set(row, WORD.body, this.slab.add(task.body));
    rows.setFloat(row, FLOAT.slot, task.slot);
    rows.setFloat(row, FLOAT.jobIteration, task.jobIteration ?? -1);
    const job = task.jobIteration === undefined ? 0 : FLAG.job;
    rows.set(row, WORD.flags, job | task.bodyFlags);
    return row;
  }

  /** Sets the status of a row that has none. */
  #setStatus(row: number, status: TaskStatus | TaskParts['status']): void {
    const { rows, texts } = this;
    const runtime = 'runtime' in status ? status.runtime : encodeRuntime(status);
    rows.set(row, WORD.state, status.state);
    rows.set(row, WORD.message, texts.add(status.message));
    rows.set(row, WORD.err, texts.add(status.err));
    rows.set(row, WORD.appliedBy, texts.add(status.appliedBy));
    rows.set(row, WORD.runtime, this.slab.add(runtime));
    this.#setTime(row, TIME.status, status.timestamp);
    this.#setTime(row, TIME.applied, status.appliedAt);
  }

  #replaceStatus(row: number, status: TaskStatus): void {
    const { rows, texts, slab } = this;
    const message = rows.get(row, WORD.message);
    const err = rows.get(row, WORD.err);
    const appliedBy = rows.get(row, WORD.appliedBy);
    const runtime = rows.get(row, WORD.runtime);
    this.#setStatus(row, status);
    texts.release(message);
    texts.release(err);
    texts.release(appliedBy);
    slab.release(runtime);
  }

  #replaceText(row: number, word: number, value: string): void {
    const before = this.rows.get(row, word);
    this.rows.set(row, word, this.texts.add(value));
    this.texts.release(before);
  }

  #patchBody(row: number, patch: BodyPatch): void {
    const { rows, slab } = this;
    const before = rows.get(row, WORD.body);
    const body = patchBody(slab.get(before), patch);
    rows.set(row, WORD.body, slab.add(body));
    slab.release(before);
    const others = rows.get(row, WORD.flags) & ~(FLAG.allocated | FLAG.attached);
    rows.set(row, WORD.flags, others | bodyFlags(body));
  }

  #setFlag(row: number, flag: number, on: boolean): void {
    const flags = this.rows.get(row, WORD.flags);
    this.rows.set(row, WORD.flags, on ? flags | flag : flags & ~flag);
  }

  #setTime(row: number, columns: TimeColumns, time: Timestamp | undefined): void {
    this.#setFlag(row, columns.flag, time !== undefined);
    if (time === undefined) return;
    this.rows.setFloat(row, columns.seconds, time.seconds);
    this.rows.set(row, columns.nanos, time.nanos);
  }

  #time(row: number, columns: TimeColumns): Timestamp | undefined {
    if (!this.flag(row, columns.flag)) return undefined;
    const { rows } = this;
    return { seconds: rows.getFloat(row, columns.seconds), nanos: rows.get(row, columns.nanos) };
  }

  #millis(row: number, columns: TimeColumns): number {
    if (!this.flag(row, columns.flag)) return 0;
    const { rows } = this;
    const nanos = rows.get(row, columns.nanos);
    return rows.getFloat(row, columns.seconds) * 1000 + Math.floor(nanos / 1e6);
  }
}

/** Fields that are left out at their default, as proto3 does. */
function int(w: Writer, tag: number, value: number): void {
  if (value === 0) return;
  w.signed(value);
  w.varint(tag);
}

function uint(w: Writer, tag: number, value: number): void {
  if (value === 0) return;
  w.varint(value);
  w.varint(tag);
}

function text(w: Writer, tag: number, value: string): void {
  if (value === '') return;
  w.string(value);
  w.varint(tag);
}
