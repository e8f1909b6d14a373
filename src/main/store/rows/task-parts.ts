/**
 * A task's bytes taken apart without decoding what a row keeps encoded: an entry from elsewhere or a
 * snapshot becomes rows at the cost of copying.
 */
import { Meta } from '../../../shared/wire/gen/objects.ts';
import { Version, type TaskState } from '../../../shared/wire/gen/types.ts';
import { Timestamp } from '../../../shared/wire/gen/well-known.ts';
import { EMPTY_BYTES, Reader, WireError } from '../../../shared/wire/runtime.ts';
import { BODY_TAG, RUNTIME_TAG } from './own-parts.ts';
import { SHARED_TAG } from './shared-parts.ts';

/** A task's status, its runtime fields still encoded. */
export type StatusParts = {
  timestamp: Timestamp | undefined;
  state: TaskState;
  message: string;
  err: string;
  appliedBy: string;
  appliedAt: Timestamp | undefined;
  runtime: Uint8Array;
};

/** A task, its shared part and its body still encoded. */
export type TaskParts = {
  id: string;
  meta: Meta;
  serviceId: string;
  slot: number;
  nodeId: string;
  status: StatusParts;
  desiredState: TaskState;
  jobIteration: number | undefined;
  shared: Uint8Array;
  body: Uint8Array;
};

const SHARED_TAGS: ReadonlySet<number> = new Set(Object.values(SHARED_TAG));
const BODY_TAGS: ReadonlySet<number> = new Set(Object.values(BODY_TAG));
const RUNTIME_TAGS: ReadonlySet<number> = new Set(Object.values(RUNTIME_TAG));
const NO_FIELDS: ReadonlySet<number> = new Set<number>();
const NO_META = Meta.create();

/** Pieces of a message that stay encoded; pieces that touch are one. */
class Pieces {
  readonly #message: Uint8Array;
  #start = 0;
  #end = 0;
  /** Pieces before the last one, once there are two. */
  #before: Uint8Array[] | undefined;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  add(start: number, end: number): void {
    if (this.#end !== start && this.#end > 0) {
      (this.#before ??= []).push(this.#message.subarray(this.#start, this.#end));
    }
    if (this.#end !== start || this.#end === 0) this.#start = start;
    this.#end = end;
  }

  joined(): Uint8Array {
    if (this.#end === 0) return EMPTY_BYTES;
    const last = this.#message.subarray(this.#start, this.#end);
    return this.#before === undefined ? last : Buffer.concat([...this.#before, last]);
  }
}

/** @throws WireError when the outer fields are not those of a task. */
export function takeApart(bytes: Uint8Array): TaskParts {
  const reader = new Reader(bytes);
  const shared = new Pieces(bytes);
  const body = new Pieces(bytes);
  const parts: TaskParts = {
    id: '',
    meta: NO_META,
    serviceId: '',
    slot: 0,
    nodeId: '',
    status: NO_STATUS,
    desiredState: 0,
    jobIteration: undefined,
    shared: EMPTY_BYTES,
    body: EMPTY_BYTES,
  };
  while (reader.position < reader.end) {
    const start = reader.position;
    const tag = reader.tag();
    if (SHARED_TAGS.has(tag)) {
      reader.skip(tag, NO_FIELDS);
      shared.add(start, reader.position);
    } else if (BODY_TAGS.has(tag)) {
      reader.skip(tag, NO_FIELDS);
      body.add(start, reader.position);
    } else {
      readOwn(reader, { tag, bytes, parts });
    }
  }
  if (parts.id === '') throw new WireError('docker.swarmkit.v1.Task: a task without an id');
  parts.shared = shared.joined();
  parts.body = body.joined();
  return parts;
}

type Place = { readonly tag: number; readonly bytes: Uint8Array; readonly parts: TaskParts };

function readOwn(reader: Reader, { tag, bytes, parts }: Place): void {
  switch (tag) {
    case 10:
      parts.id = reader.string();
      break;
    case 18:
      parts.meta = nested(reader, (end) => Meta.read(reader, end));
      break;
    case 34:
      parts.serviceId = reader.string();
      break;
    case 40:
      parts.slot = reader.varint();
      break;
    case 50:
      parts.nodeId = reader.string();
      break;
    case 74:
      parts.status = nested(reader, (end) => readStatus(reader, bytes, end));
      break;
    case 80:
      parts.desiredState = stateOf(reader.int32());
      break;
    case 130:
      parts.jobIteration = nested(reader, (end) => Version.read(reader, end)).index;
      break;
    default:
      reader.skip(tag, NO_FIELDS);
  }
}

function nested<T>(reader: Reader, read: (end: number) => T): T {
  const end = reader.nested(reader.end);
  const value = read(end);
  reader.leave(end);
  return value;
}

function stateOf(value: number): TaskState {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as it was written
  return value as TaskState;
}

const NO_STATUS: StatusParts = {
  timestamp: undefined,
  state: 0,
  message: '',
  err: '',
  appliedBy: '',
  appliedAt: undefined,
  runtime: EMPTY_BYTES,
};

function readStatus(reader: Reader, bytes: Uint8Array, end: number): StatusParts {
  const runtime = new Pieces(bytes);
  const status: StatusParts = { ...NO_STATUS };
  while (reader.position < end) {
    const start = reader.position;
    const tag = reader.tag();
    if (RUNTIME_TAGS.has(tag)) {
      reader.skip(tag, NO_FIELDS);
      runtime.add(start, reader.position);
    } else {
      readStatusField(reader, tag, status);
    }
  }
  status.runtime = runtime.joined();
  return status;
}

function readStatusField(reader: Reader, tag: number, status: StatusParts): void {
  switch (tag) {
    case 10:
      status.timestamp = nested(reader, (end) => Timestamp.read(reader, end));
      break;
    case 16:
      status.state = stateOf(reader.int32());
      break;
    case 26:
      status.message = reader.string();
      break;
    case 34:
      status.err = reader.string();
      break;
    case 58:
      status.appliedBy = reader.string();
      break;
    case 66:
      status.appliedAt = nested(reader, (end) => Timestamp.read(reader, end));
      break;
    default:
      reader.skip(tag, NO_FIELDS);
  }
}
