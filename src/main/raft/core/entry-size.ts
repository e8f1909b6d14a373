/**
 * How big an entry is: encoded, which limits messages, and by payload, which limits memory.
 */
import type { Entry } from '../../../shared/wire/gen/raftpb.ts';

function varintBytes(value: number): number {
  let bytes = 1;
  for (let rest = value; rest >= 128; rest = Math.floor(rest / 128)) bytes += 1;
  return bytes;
}

/** Bytes of `entry` on the wire; type, term and index are always written. */
export function encodedBytes(entry: Entry): number {
  const head = 3 + varintBytes(entry.type) + varintBytes(entry.term) + varintBytes(entry.index);
  if (entry.data === undefined) return head;
  return head + 1 + varintBytes(entry.data.length) + entry.data.length;
}

/** Bytes of what was proposed; an empty entry of a new leader weighs nothing. */
export function payloadBytes(entries: readonly Entry[]): number {
  return entries.reduce((sum, entry) => sum + (entry.data?.length ?? 0), 0);
}

/** The longest prefix within `bytesMax` encoded bytes, but never less than the first entry. */
export function limitBytes(entries: readonly Entry[], bytesMax: number): readonly Entry[] {
  let bytes = 0;
  for (const [count, entry] of entries.entries()) {
    bytes += encodedBytes(entry);
    if (bytes > bytesMax && count > 0) return entries.slice(0, count);
  }
  return entries;
}
