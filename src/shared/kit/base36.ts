/** Whole numbers of any size as lower-case base-36 text: ids and join tokens (behaviour rules 0.1, 4.3). */

/** The bytes, read as one big-endian number. */
export function bigEndian(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

/** Base-36 digits of `value`, with zeros in front up to `width`. */
export function base36(value: bigint, width = 0): string {
  return value.toString(36).padStart(width, '0');
}

/** An object id from 17 random bytes: the top bit is set, so there are 26 digits, and the first goes. */
export function idFrom(random: Uint8Array): string {
  const bytes = Uint8Array.from(random.subarray(0, 17));
  bytes[0] = (bytes[0] ?? 0) | 0x80;
  return base36(bigEndian(bytes)).slice(1, 26);
}
