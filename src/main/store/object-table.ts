/**
 * One table of whole objects: the committed set, the overlay of what is proposed, and the writes that
 * move objects from the one to the other.
 *
 * The overlay says for every id with pending writes what the head holds, or that it holds nothing. A
 * look-up on the head is the committed result without the ids of the overlay, plus the overlay's.
 */
import assert from 'node:assert/strict';
import type { Writer } from '../../shared/wire/runtime.ts';
import { peekId } from './entry-codec.ts';
import { Entry, IndexedSet } from './indexed-set.ts';
import { refusal } from './refusals.ts';
import type { Stored, TableSchema } from './schema.ts';
import type { Change } from './transaction.ts';
import { nextVersion, type Action, type PendingWrite, type WriteContext } from './writes.ts';

/** What the latest pending write of an id leaves on the head: an entry, or nothing after a removal. */
type Pending<T extends Stored> = { readonly entry: Entry<T> | undefined };

export class ObjectCore<T extends Stored> {
  readonly schema: TableSchema<T>;
  readonly committed: IndexedSet<T>;
  readonly #overlay: IndexedSet<T>;
  /** Every id with pending writes. */
  readonly #pending = new Map<string, Pending<T>>();
  readonly #seal: (object: T) => T;
  readonly #encode: (object: T) => Uint8Array;
  #headSize = 0;
  #headEdition: object = {};

  /** `seal` sees every object before it is stored; tests freeze there. */
  constructor(schema: TableSchema<T>, seal: (object: T) => T) {
    this.schema = schema;
    this.committed = new IndexedSet(schema);
    this.#overlay = new IndexedSet(schema);
    this.#seal = seal;
    this.#encode = (object) => schema.codec.encode(object);
  }

  get headSize(): number {
    return this.#headSize;
  }

  /** Another object as soon as the head holds something else. */
  get headEdition(): object {
    return this.#headEdition;
  }

  headGet(id: string): Entry<T> | undefined {
    const pending = this.#pending.size === 0 ? undefined : this.#pending.get(id);
    return pending === undefined ? this.committed.get(id) : pending.entry;
  }

  /** The head's answer to a look-up, given how one set answers it. */
  *head(lookUp: (set: IndexedSet<T>) => Iterable<Entry<T>>): Generator<Entry<T>> {
    if (this.#pending.size === 0) {
      yield* lookUp(this.committed);
      return;
    }
    for (const entry of lookUp(this.committed)) if (!this.#pending.has(entry.id)) yield entry;
    yield* lookUp(this.#overlay);
  }

  create(object: T, context: WriteContext): void {
    assert(object.id !== '', `a ${this.schema.kind} without an id`);
    this.#checkName(object);
    if (this.headGet(object.id) !== undefined) throw refusal('EXISTS');
    const meta = {
      version: { index: context.version },
      createdAt: context.now,
      updatedAt: context.now,
    };
    context.add(this.#write('create', this.#entry({ ...object, meta })));
  }

  update(object: T, context: WriteContext): void {
    if (this.schema.recheckName !== false) this.#checkName(object);
    const stored = this.headGet(object.id);
    if (stored === undefined) throw refusal('NOT_EXIST');
    const { version, createdAt } = stored.object.meta;
    if (object.meta.version.index !== version.index) throw refusal('OUT_OF_SEQUENCE');
    const index = nextVersion(context, version.index);
    const meta = { version: { index }, createdAt, updatedAt: context.now };
    context.add(this.#write('update', this.#entry({ ...object, meta })));
  }

  remove(id: string, context: WriteContext): void {
    const stored = this.headGet(id);
    if (stored === undefined) throw refusal('NOT_EXIST');
    context.add(this.#write('remove', stored));
  }

  /**
   * Applies a change that was made elsewhere: no checks, meta as it comes. Undefined when there was
   * nothing to remove.
   * @throws WireError
   */
  apply(action: Action, bytes: Uint8Array): Change | undefined {
    const object = this.schema.codec.decode(bytes);
    assert(this.#pending.size === 0, 'a change from elsewhere came while own ones were in flight');
    const old = this.committed.get(object.id);
    if (action === 'remove' && old === undefined) return undefined;
    this.#headEdition = {};
    if (old !== undefined) this.committed.remove(old);
    if (action === 'remove') {
      this.#headSize -= 1;
      return this.#change('remove', old, undefined);
    }
    const entry = this.#entry(object);
    this.committed.add(entry);
    if (old === undefined) this.#headSize += 1;
    return this.#change(old === undefined ? 'create' : 'update', entry, old);
  }

  /** Takes in an object of a snapshot; the entry of `former`, if that one has the same. @throws WireError */
  load(bytes: Uint8Array, former: ObjectCore<T>): void {
    const known = former.committed.get(peekId(bytes));
    const isSame = known !== undefined && Buffer.compare(known.bytes, bytes) === 0;
    const entry = isSame ? known : this.#entry(this.schema.codec.decode(bytes));
    const twice = this.committed.get(entry.id);
    if (twice !== undefined) this.committed.remove(twice);
    this.committed.add(entry);
    this.#headSize = this.committed.size;
    this.#headEdition = {};
  }

  /** What became of the objects of `former`, and what is new: a change, or nothing, for each of both. */
  *changesSince(former: ObjectCore<T>): Generator<Change | undefined, void> {
    for (const entry of this.committed.values()) {
      const old = former.committed.get(entry.id);
      const action = old === undefined ? 'create' : 'update';
      yield old === entry ? undefined : this.#change(action, entry, old);
    }
    for (const entry of former.committed.values()) {
      const isGone = this.committed.get(entry.id) === undefined;
      yield isGone ? this.#change('remove', entry, undefined) : undefined;
    }
  }

  /** Forgets whatever is proposed. */
  dropOverlay(): void {
    if (this.#pending.size > 0) this.#headEdition = {};
    this.#pending.clear();
    this.#overlay.clear();
    this.#headSize = this.committed.size;
  }

  #entry(object: T): Entry<T> {
    return new Entry(this.#seal(object), this.#encode);
  }

  #checkName(object: T): void {
    if (!this.schema.uniqueName) return;
    const name = this.schema.name(object)?.toLowerCase();
    if (name === undefined) return;
    for (const entry of this.head((set) => set.byName(name))) {
      if (entry.id !== object.id) throw refusal('NAME_CONFLICT');
    }
  }

  #write(action: Action, entry: Entry<T>): PendingWrite {
    const { id } = entry;
    const before = this.#pending.get(id);
    const next: Pending<T> = { entry: action === 'remove' ? undefined : entry };
    const growth = action === 'create' ? 1 : action === 'remove' ? -1 : 0;
    this.#setPending(id, next);
    this.#headSize += growth;
    const bytes = entry.bytes;
    return {
      kind: this.schema.kind,
      action,
      bytesMax: bytes.length,
      encode: (writer: Writer) => writer.raw(bytes),
      undo: () => {
        this.#setPending(id, before);
        this.#headSize -= growth;
      },
      commit: () => this.#commit(action, entry, next),
      settle: () => undefined,
      drop: () => undefined,
    };
  }

  #setPending(id: string, next: Pending<T> | undefined): void {
    this.#headEdition = {};
    const last = this.#pending.get(id)?.entry;
    if (last !== undefined) this.#overlay.remove(last);
    if (next === undefined) this.#pending.delete(id);
    else this.#pending.set(id, next);
    if (next?.entry !== undefined) this.#overlay.add(next.entry);
  }

  #commit(action: Action, entry: Entry<T>, next: Pending<T>): Change {
    const { id } = entry;
    const old = this.committed.get(id);
    assert((old === undefined) === (action === 'create'), `${action} of ${id} out of order`);
    if (old !== undefined) this.committed.remove(old);
    if (next.entry !== undefined) this.committed.add(next.entry);
    if (this.#pending.get(id) === next) this.#setPending(id, undefined);
    return this.#change(action, entry, old);
  }

  #change(action: Action, entry: Entry<T> | undefined, old: Entry<T> | undefined): Change {
    const change =
      action === 'update'
        ? { kind: this.schema.kind, action, object: entry?.object, old: old?.object }
        : { kind: this.schema.kind, action, object: entry?.object };
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- kind and T come from one schema
    return change as unknown as Change;
  }
}
