/** A snapshot of the committed state, in slices that are each made quickly. */
import { encodeSlice } from './entry-codec.ts';
import { OBJECT_KINDS } from './schema.ts';
import type { Tables } from './tables.ts';
import type { ObjectKind } from './view.ts';

/** Bytes after which a slice of whole objects ends; it is made, and sealed, in one turn. */
const SLICE_BYTES = 256 * 1024;

/**
 * Slices of a `StoreSnapshot` as the state is at this call. Entries are immutable, so to note one is
 * to keep it; tasks see to it themselves.
 */
export function noteSnapshot({ cores, tasks }: Tables): () => Generator<Uint8Array, void> {
  const noted = OBJECT_KINDS.map((kind) => ({
    kind,
    entries: Array.from<{ readonly bytes: Uint8Array }>(cores[kind].committed.values()),
  }));
  const taskSlices = tasks.snapshot();
  return function* slices() {
    try {
      for (const { kind, entries } of noted) yield* objectSlices(kind, entries);
      let slice = taskSlices.next();
      while (slice !== undefined) {
        yield slice;
        slice = taskSlices.next();
      }
    } finally {
      taskSlices.end();
    }
  };
}

function* objectSlices(
  kind: ObjectKind,
  entries: readonly { readonly bytes: Uint8Array }[],
): Generator<Uint8Array, void> {
  let slice: Uint8Array[] = [];
  let sliceBytes = 0;
  for (const { bytes } of entries) {
    slice.push(bytes);
    sliceBytes += bytes.length;
    if (sliceBytes < SLICE_BYTES) continue;
    yield encodeSlice(kind, slice);
    slice = [];
    sliceBytes = 0;
  }
  if (slice.length > 0) yield encodeSlice(kind, slice);
}
