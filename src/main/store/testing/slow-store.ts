/**
 * The store's rules the slow way, for tests: maps of whole objects, the head found by playing every
 * pending change over the committed state, look-ups by trying everything.
 */
import type { Task } from '../../../shared/wire/gen/objects.ts';
import { SCHEMAS, type Stored, type TableSchema } from '../schema.ts';
import type { StoreErrorCode } from '../transaction.ts';
import type { Kind, ObjectKind } from '../view.ts';
import { timestampOf, type Action } from '../writes.ts';

export type SlowChange = {
  readonly kind: Kind;
  readonly action: Action;
  readonly object: Stored;
};
export type SlowEvent = SlowChange & { readonly old?: Stored };
export type SlowState = Map<string, Stored>;

const keyOf = (kind: Kind, id: string): string => `${kind} ${id}`;

function schemaOf(kind: Kind): TableSchema<Stored> | undefined {
  if (kind === 'task') return undefined;
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the caller's objects are of the kind
  return SCHEMAS[kind] as unknown as TableSchema<Stored>;
}

export class SlowStore {
  readonly committed: SlowState = new Map();
  /** Changes of each entry in flight, the pack of the turn last. */
  entries: SlowChange[][] = [];
  pack: SlowChange[] = [];

  head(): SlowState {
    const state = new Map(this.committed);
    for (const change of [...this.entries.flat(), ...this.pack]) play(state, change);
    return state;
  }

  /** What a write would do: the change, or why it is refused. */
  attempt(
    state: SlowState,
    { kind, action, object }: SlowChange,
    { version, nowMs }: { readonly version: number; readonly nowMs: number },
  ): SlowChange | StoreErrorCode {
    const stored = state.get(keyOf(kind, object.id));
    const schema = schemaOf(kind);
    if (action !== 'remove' && schema?.uniqueName === true && this.#taken(state, schema, object)) {
      return 'NAME_CONFLICT';
    }
    if (action === 'create' && stored !== undefined) return 'EXISTS';
    if (action !== 'create' && stored === undefined) return 'NOT_EXIST';
    if (action === 'remove') return { kind, action, object: stored ?? object };
    if (action === 'update' && object.meta.version.index !== stored?.meta.version.index) {
      return 'OUT_OF_SEQUENCE';
    }
    const now = timestampOf(nowMs);
    const createdAt = stored === undefined ? now : stored.meta.createdAt;
    const index = Math.max(version, stored === undefined ? 0 : stored.meta.version.index + 1);
    const meta = { version: { index }, createdAt, updatedAt: now };
    return { kind, action, object: { ...object, meta } };
  }

  /** Commits changes; returns what listeners hear. */
  commit(changes: readonly SlowChange[]): SlowEvent[] {
    return changes.map((change) => {
      const old = this.committed.get(keyOf(change.kind, change.object.id));
      play(this.committed, change);
      return change.action === 'update' && old !== undefined ? { ...change, old } : change;
    });
  }

  /** Applies changes from elsewhere, which are never refused. */
  apply(changes: readonly SlowChange[]): SlowEvent[] {
    return changes.flatMap((change) => {
      const old = this.committed.get(keyOf(change.kind, change.object.id));
      if (change.action === 'remove') {
        return old === undefined ? [] : this.commit([{ ...change, object: old }]);
      }
      return this.commit([{ ...change, action: old === undefined ? 'create' : 'update' }]);
    });
  }

  #taken(state: SlowState, schema: TableSchema<Stored>, object: Stored): boolean {
    const name = schema.name(object)?.toLowerCase();
    return select(state, schema.kind).some(
      (other) => other.id !== object.id && schema.name(other)?.toLowerCase() === name,
    );
  }
}

function play(state: SlowState, { kind, action, object }: SlowChange): void {
  if (action === 'remove') state.delete(keyOf(kind, object.id));
  else state.set(keyOf(kind, object.id), object);
}

/** All objects of a kind, by id. */
export function select(state: SlowState, kind: Kind): Stored[] {
  return [...state]
    .filter(([key]) => key.startsWith(`${kind} `))
    .map(([, object]) => object)
    .toSorted((a, b) => (a.id < b.id ? -1 : 1));
}

export function selectTasks(state: SlowState, wanted: (task: Task) => boolean): Task[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the kind says so
  return (select(state, 'task') as Task[]).filter(wanted);
}

/** Objects of a kind that stand under a key of a declared index. */
export function selectByIndex(
  state: SlowState,
  kind: ObjectKind,
  { index, key }: { readonly index: string; readonly key: string },
): Stored[] {
  const schema = schemaOf(kind);
  return select(state, kind).filter((object) => schema?.indices[index]?.keys(object).includes(key));
}
