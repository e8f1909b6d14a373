/**
 * A snapshot taken in: tables of its own are made of it beside those of now, which stand still
 * meanwhile. Everything here can pause after each object.
 */
import { readStore } from './entry-codec.ts';
import { OBJECT_KINDS } from './schema.ts';
import type { Cores, Tables } from './tables.ts';
import type { Change } from './transaction.ts';
import type { ObjectKind } from './view.ts';

/**
 * Fills `next`, which is empty, with what stands in bodies of `StoreSnapshot`. Objects that `old` has
 * too are shared. Yields the bytes of each object.
 * @throws WireError
 */
export function* fill(
  next: Tables,
  old: Tables,
  bodies: Iterable<Uint8Array>,
): Generator<number, void> {
  for (const body of bodies) {
    for (const { kind, bytes } of readStore(body)) {
      if (kind === 'task') next.tasks.load(bytes);
      else loadObject(kind, bytes, { next: next.cores, old: old.cores });
      yield bytes.length;
    }
  }
}

/** A table of one kind, in both. */
type Both<K extends ObjectKind> = { readonly next: Pick<Cores, K>; readonly old: Pick<Cores, K> };

function loadObject<K extends ObjectKind>(
  kind: K,
  bytes: Uint8Array,
  { next, old }: Both<K>,
): void {
  next[kind].load(bytes, old[kind]);
}

/** Adds to `changes` what differs between `old` and `next`. Yields, for each object, bytes that it looked at. */
export function* differences(
  next: Tables,
  old: Tables,
  changes: Change[],
): Generator<number, void> {
  for (const kind of OBJECT_KINDS) {
    for (const change of changesOf(kind, { next: next.cores, old: old.cores })) {
      if (change !== undefined) changes.push(change);
      yield 0;
    }
  }
  for (const change of next.tasks.changesSince(old.tasks)) {
    if (change !== undefined) changes.push(change);
    yield 0;
  }
}

function changesOf<K extends ObjectKind>(
  kind: K,
  { next, old }: Both<K>,
): Iterable<Change | undefined> {
  return next[kind].changesSince(old[kind]);
}
