/** Whole numbers of any size as lower-case base-36 text: ids and join tokens (behaviour rules 0.1, 4.3). */

/** The bytes, read as one big-endian number. */
export function bigEndian(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${Buffer.from(bytes).toString('hex')}`);
}

/** Base-36 digits of `value`, with zeros in front up to `width`. */
export function base36(value: bigint, width = 0): string {
  return value.toString(36).padStart(width, '0');
}

/** Of the 27 digits that a number of 17 bytes has when its top bit is set, an id has all but the first and the last. */
const ID_DIGITS = 25;
const BELOW_FIRST = 36n ** BigInt(ID_DIGITS);

/**
 * An object id from 17 random bytes, the top bit set. The digits are cut off as a number: a slice of
 * the text would keep all of the text in memory behind it.
 */
export function idFrom(random: Uint8Array): string {
  const bytes = Uint8Array.from(random.subarray(0, 17));
  bytes[0] = (bytes[0] ?? 0) | 0x80;
  return base36((bigEndian(bytes) / 36n) % BELOW_FIRST, ID_DIGITS);
}
