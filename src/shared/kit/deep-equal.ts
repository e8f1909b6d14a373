/**
 * Equality of plain values: messages, lists, maps, bytes. A field that is there and undefined equals
 * one that is not there.
 */

/** Whether both values have the same content. Bytes compare by content; numbers as `Object.is`. */
export function deepEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (a instanceof Uint8Array) return b instanceof Uint8Array && bytesEqual(a, b);
  if (b instanceof Uint8Array) return false;
  if (Array.isArray(a)) return Array.isArray(b) && listsEqual(a, b);
  return !Array.isArray(b) && recordsEqual(a, b);
}

/** Whether both hold the same bytes. Not constant in time: not for secrets. */
export function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function listsEqual(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((item, index) => deepEqual(item, b[index]));
}

function recordsEqual(a: object, b: object): boolean {
  const left = new Map<string, unknown>(
    Object.entries(a).filter(([, value]) => value !== undefined),
  );
  const right = Object.entries(b).filter(([, value]) => value !== undefined);
  return (
    left.size === right.length &&
    right.every(([key, value]) => left.has(key) && deepEqual(left.get(key), value))
  );
}
