/**
 * Log entries and snapshots as bytes, taken apart and put together without looking into the objects:
 * what stands in them was encoded once, when it was written.
 */
import { Reader, WireError, Writer } from '../../shared/wire/runtime.ts';
import { ClusterSnapshot } from '../../shared/wire/gen/snapshot.ts';
import { KINDS, WIRE_FIELDS } from './schema.ts';
import type { Kind } from './view.ts';
import { ACTION, type Action, type PendingWrite } from './writes.ts';

/** Most bytes that an action takes beside its object: two tags, two lengths and the action itself. */
export const ACTION_OVERHEAD_BYTES_MAX = 14;
/** Most bytes that an entry takes beside its actions. */
export const ENTRY_OVERHEAD_BYTES_MAX = 11;

const LENGTH_DELIMITED = 2;
const tagOf = (field: number): number => field * 8 + LENGTH_DELIMITED;

const KIND_OF_ACTION_FIELD = new Map(KINDS.map((kind) => [WIRE_FIELDS[kind].action, kind]));
const KIND_OF_SNAPSHOT_FIELD = new Map(KINDS.map((kind) => [WIRE_FIELDS[kind].snapshot, kind]));
const ACTIONS: readonly (Action | undefined)[] = [undefined, 'create', 'update', 'remove'];
const NO_FIELDS: ReadonlySet<number> = new Set<number>();

const entryWriter = new Writer(1 << 21);

/** The bytes of an `InternalRaftRequest` with these writes, in order. */
export function encodeEntry(requestId: bigint, transactions: readonly (readonly PendingWrite[])[]) {
  const w = entryWriter;
  try {
    for (const writes of transactions.toReversed()) writeActions(w, writes);
    w.wide(requestId);
    w.varint(8);
    return w.finish();
  } catch (error) {
    w.reset();
    throw error;
  }
}

function writeActions(w: Writer, writes: readonly PendingWrite[]): void {
  for (let i = writes.length - 1; i >= 0; i -= 1) {
    const write = writes[i]!;
    const action = w.length;
    write.encode(w);
    w.close(action);
    w.varint(tagOf(WIRE_FIELDS[write.kind].action));
    w.varint(ACTION[write.action]);
    w.varint(8);
    w.close(action);
    w.varint(tagOf(2));
  }
}

/** One change of an entry, its object still in bytes (a view of the entry's). */
export type EncodedChange = {
  readonly action: Action;
  readonly kind: Kind;
  readonly bytes: Uint8Array;
};

/** The changes of an entry, in order. @throws WireError */
export function readEntry(bytes: Uint8Array): EncodedChange[] {
  const reader = new Reader(bytes);
  const changes: EncodedChange[] = [];
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag !== tagOf(2)) {
      reader.skip(tag, NO_FIELDS);
      continue;
    }
    const change = readAction(reader.view());
    if (change !== undefined) changes.push(change);
  }
  return changes;
}

/** Undefined for an action or a kind of object that nobody here knows. */
function readAction(bytes: Uint8Array): EncodedChange | undefined {
  const reader = new Reader(bytes);
  let action: Action | undefined;
  let kind: Kind | undefined;
  let object: Uint8Array | undefined;
  while (reader.position < reader.end) {
    const tag = reader.tag();
    const found = KIND_OF_ACTION_FIELD.get(tag >>> 3);
    if (tag === 8) {
      action = ACTIONS[reader.varint()];
    } else if (found !== undefined && (tag & 7) === LENGTH_DELIMITED) {
      kind = found;
      object = reader.view();
    } else {
      reader.skip(tag, NO_FIELDS);
    }
  }
  if (action === undefined || kind === undefined || object === undefined) return undefined;
  return { action, kind, bytes: object };
}

/** The parts of a `docker.swarmkit.v1.Snapshot`. */
export type SnapshotParts = {
  readonly membership: ClusterSnapshot;
  /** Bodies of `StoreSnapshot`, to be read as one. */
  readonly store: readonly Uint8Array[];
};

/** @throws WireError when the bytes are no snapshot or one of another version. */
export function readSnapshot(bytes: Uint8Array): SnapshotParts {
  const reader = new Reader(bytes);
  const store: Uint8Array[] = [];
  let membership = ClusterSnapshot.create();
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag === 8) {
      const version = reader.varint();
      if (version !== 0) throw new WireError(`unrecognized snapshot version ${version}`);
    } else if (tag === tagOf(2)) {
      membership = ClusterSnapshot.decode(reader.view());
    } else if (tag === tagOf(3)) {
      store.push(reader.view());
    } else {
      reader.skip(tag, NO_FIELDS);
    }
  }
  return { membership, store };
}

/** How long a snapshot is, as far as its beginning tells; undefined when that does not reach the store. */
export function announcedBytes(beginning: Uint8Array): number | undefined {
  const reader = new Reader(beginning);
  try {
    while (reader.position < reader.end) {
      const tag = reader.tag();
      if (tag === tagOf(3)) return reader.varint() + reader.position;
      reader.skip(tag, NO_FIELDS);
    }
  } catch (error) {
    if (!(error instanceof WireError)) throw error; // cut within a field
  }
  return undefined;
}

/**
 * A body of `StoreSnapshot` in smaller ones of about `bytes` each, cut between objects; views of it.
 * @throws WireError
 */
export function* cutStore(body: Uint8Array, bytes: number): Generator<Uint8Array, void> {
  const reader = new Reader(body);
  let from = 0;
  while (reader.position < reader.end) {
    reader.skip(reader.tag(), NO_FIELDS);
    if (reader.position - from < bytes) continue;
    yield body.subarray(from, reader.position);
    from = reader.position;
  }
  if (from < body.length) yield body.subarray(from);
}

/** What stands before the store's slices in a snapshot; `storeBytes` is the sum of their lengths. */
export function snapshotHeader(membership: ClusterSnapshot, storeBytes: number): Uint8Array {
  const w = new Writer(1024);
  w.varint(storeBytes);
  w.varint(tagOf(3));
  w.bytes(ClusterSnapshot.encode(membership));
  w.varint(tagOf(2));
  return w.finish();
}

/** The objects of a `StoreSnapshot`, in order, still in bytes. @throws WireError */
export function* readStore(body: Uint8Array): Generator<Omit<EncodedChange, 'action'>> {
  const reader = new Reader(body);
  while (reader.position < reader.end) {
    const tag = reader.tag();
    const kind = KIND_OF_SNAPSHOT_FIELD.get(tag >>> 3);
    if (kind !== undefined && (tag & 7) === LENGTH_DELIMITED) yield { kind, bytes: reader.view() };
    else reader.skip(tag, NO_FIELDS);
  }
}

/** Writes objects as fields of a `StoreSnapshot`. */
export function encodeSlice(kind: Kind, objects: readonly Uint8Array[]): Uint8Array {
  const w = entryWriter;
  try {
    for (const bytes of objects.toReversed()) {
      w.bytes(bytes);
      w.varint(tagOf(WIRE_FIELDS[kind].snapshot));
    }
    return w.finish();
  } catch (error) {
    w.reset();
    throw error;
  }
}

/** Id of an encoded object, without decoding the rest. @throws WireError */
export function peekId(bytes: Uint8Array): string {
  const reader = new Reader(bytes);
  while (reader.position < reader.end) {
    const tag = reader.tag();
    if (tag === tagOf(1)) return reader.string();
    reader.skip(tag, NO_FIELDS);
  }
  throw new WireError('an object without an id');
}
