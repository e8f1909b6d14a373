/** Freezes whole objects, so that tests find whoever writes to a stored one. */

/** Freezes `value` and whatever hangs on it, but for bytes, which cannot be; returns it. */
export function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value;
  if (Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const inner of Object.values(value)) deepFreeze(inner);
  return value;
}
