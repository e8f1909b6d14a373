/**
 * The part of DER that X.509 certificates and requests need: writing values, and reading strictly.
 *
 * Everything read is untrusted. A node whose length leaves its parent, an indefinite or padded length,
 * or a long-form tag is refused with a `DerError`.
 */
import assert from 'node:assert/strict';

/** The bytes are not the DER that was expected. */
export class DerError extends Error {
  override readonly name = 'DerError';
}

export const Tag = {
  BOOLEAN: 0x01,
  INTEGER: 0x02,
  BIT_STRING: 0x03,
  OCTET_STRING: 0x04,
  OID: 0x06,
  UTF8_STRING: 0x0c,
  SEQUENCE: 0x30,
  SET: 0x31,
  UTC_TIME: 0x17,
  GENERALIZED_TIME: 0x18,
} as const;

function lengthBytes(length: number): readonly number[] {
  if (length < 0x80) return [length];
  const bytes: number[] = [];
  for (let rest = length; rest > 0; rest = Math.floor(rest / 256)) bytes.unshift(rest % 256);
  return [0x80 | bytes.length, ...bytes];
}

/** One value: tag, length, and the contents one after the other. */
export function tlv(tag: number, ...contents: readonly Uint8Array[]): Buffer {
  const length = contents.reduce((sum, content) => sum + content.length, 0);
  return Buffer.concat([Uint8Array.of(tag, ...lengthBytes(length)), ...contents]);
}

export const sequence = (...items: readonly Uint8Array[]): Buffer => tlv(Tag.SEQUENCE, ...items);

/** `[number]` around complete values, or in place of a primitive value's own tag. */
export const explicit = (number: number, ...items: readonly Uint8Array[]): Buffer =>
  tlv(0xa0 | number, ...items);
export const implicit = (number: number, content: Uint8Array): Buffer =>
  tlv(0x80 | number, content);

/** A non-negative integer from its big-endian bytes. */
export function integer(bytes: Uint8Array): Buffer {
  let from = 0;
  while (from < bytes.length - 1 && bytes[from] === 0) from += 1;
  const digits = bytes.subarray(from);
  const sign = (digits[0] ?? 0) >= 0x80 ? [Uint8Array.of(0)] : [];
  return tlv(Tag.INTEGER, ...sign, digits);
}

export const boolean = (value: boolean): Buffer =>
  tlv(Tag.BOOLEAN, Uint8Array.of(value ? 0xff : 0));
export const octets = (content: Uint8Array): Buffer => tlv(Tag.OCTET_STRING, content);
export const utf8 = (text: string): Buffer => tlv(Tag.UTF8_STRING, Buffer.from(text));

/** A bit string; `unusedBits` of its last byte do not count. */
export const bits = (content: Uint8Array, unusedBits = 0): Buffer =>
  tlv(Tag.BIT_STRING, Uint8Array.of(unusedBits), content);

function base128(value: number): readonly number[] {
  const bytes = [value % 128];
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128)) {
    bytes.unshift((rest % 128) | 0x80);
  }
  return bytes;
}

/** An object identifier from its dotted form. */
export function oid(dotted: string): Buffer {
  const [first, second, ...rest] = dotted.split('.').map(Number);
  assert(first !== undefined && second !== undefined, `${dotted} is no object identifier`);
  return tlv(Tag.OID, Uint8Array.from([first * 40 + second, ...rest].flatMap(base128)));
}

/** A point in time, to the second: two-digit years before 2050, four-digit ones from then on. */
export function time(iso: string): Buffer {
  const digits = iso.replaceAll(/\D/g, '').slice(0, 14);
  assert(digits.length === 14, `${iso} is no ISO time`);
  return Number(digits.slice(0, 4)) < 2050
    ? tlv(Tag.UTC_TIME, Buffer.from(`${digits.slice(2)}Z`))
    : tlv(Tag.GENERALIZED_TIME, Buffer.from(`${digits}Z`));
}

/** One value that was read; `raw` is all of it, `content` what follows tag and length. */
export type DerNode = {
  readonly tag: number;
  readonly raw: Uint8Array;
  readonly content: Uint8Array;
};

function readAt(bytes: Uint8Array, at: number): DerNode {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw new DerError('unexpected end of data');
  if ((tag & 0x1f) === 0x1f) throw new DerError('multi-byte tags are not supported');
  let length = first;
  let from = at + 2;
  if (first >= 0x80) {
    const size = first & 0x7f;
    if (size === 0 || size > 4) throw new DerError('unsupported length');
    length = 0;
    for (let i = 0; i < size; i += 1) length = length * 256 + (bytes[from + i] ?? 0);
    from += size;
    if (lengthBytes(length).length !== size + 1) throw new DerError('length is not minimal');
  }
  if (from + length > bytes.length) throw new DerError('value is longer than its parent');
  return {
    tag,
    raw: bytes.subarray(at, from + length),
    content: bytes.subarray(from, from + length),
  };
}

/** The single value that fills `bytes`. */
export function readDer(bytes: Uint8Array): DerNode {
  const node = readAt(bytes, 0);
  if (node.raw.length !== bytes.length) throw new DerError('data follows the value');
  return node;
}

/** The values inside a sequence, a set or an explicit tag. */
export function children(node: DerNode): readonly DerNode[] {
  const found: DerNode[] = [];
  for (let at = 0; at < node.content.length;) {
    const child = readAt(node.content, at);
    found.push(child);
    at += child.raw.length;
  }
  return found;
}

/** `node`, which must be there and carry `tag`. */
export function expectTag(node: DerNode | undefined, tag: number): DerNode {
  if (node === undefined) throw new DerError('a value is missing');
  if (node.tag !== tag) throw new DerError(`expected tag ${tag}, found ${node.tag}`);
  return node;
}

/** The dotted form of an object identifier. */
export function readOid(node: DerNode | undefined): string {
  const { content } = expectTag(node, Tag.OID);
  const numbers: number[] = [];
  let value = 0;
  for (const byte of content) {
    value = value * 128 + (byte & 0x7f);
    if (!Number.isSafeInteger(value)) throw new DerError('object identifier is too large');
    if (byte >= 0x80) continue;
    numbers.push(value);
    value = 0;
  }
  const [head = 0, ...rest] = numbers;
  const first = Math.min(Math.floor(head / 40), 2);
  return [first, head - first * 40, ...rest].join('.');
}

/** The whole bytes of a bit string. */
export function readBits(node: DerNode | undefined): Uint8Array {
  const { content } = expectTag(node, Tag.BIT_STRING);
  if (content[0] !== 0) throw new DerError('expected a bit string of whole bytes');
  return content.subarray(1);
}
