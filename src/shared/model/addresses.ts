/**
 * IP addresses and subnets of both families, as values: parsing, formatting and set arithmetic.
 *
 * An address is a family and a whole number, so that everything above counts instead of handling
 * text. Parsing is strict in the way Go's `net` package is, because the peers read the same text:
 * no leading zeros, no zones, no shorthand such as `10.1`.
 */
import assert from 'node:assert/strict';

export type AddressFamily = 4 | 6;

/** One address. `value` is below 2^32 for family 4 and below 2^128 for family 6. */
export type Address = { readonly family: AddressFamily; readonly value: bigint };

/** A block of addresses: `base` is its first address, and the bits after `prefix` are zero. */
export type Subnet = {
  readonly family: AddressFamily;
  readonly base: bigint;
  /** Length of the network part, in bits. */
  readonly prefix: number;
};

/** An address together with the length of its network, as in `10.0.0.2/24`. */
export type Cidr = { readonly address: Address; readonly prefix: number };

/** Number of bits in an address of the family: 32 or 128. */
export function addressBits(family: AddressFamily): number {
  return family === 4 ? 32 : 128;
}

/** Reads `10.0.0.1` or `fd00::1`; undefined when the text is not one address. */
export function parseAddress(text: string): Address | undefined {
  return text.includes(':') ? parseIpv6(text) : parseIpv4(text);
}

/** Writes the address: dotted decimal, or the shortest form of RFC 5952. */
export function formatAddress(address: Address): string {
  return address.family === 4 ? formatIpv4(Number(address.value)) : formatIpv6(address.value);
}

/** Reads `10.0.0.2/24`, keeping the address as written; undefined when it is not CIDR notation. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const prefix = parseDecimal(text.slice(slash + 1), 128);
  if (address === undefined || prefix === undefined) return undefined;
  return prefix > addressBits(address.family) ? undefined : { address, prefix };
}

/** Writes an address with the length of its network: `10.0.0.2/24`. */
export function formatCidr(cidr: Cidr): string {
  return `${formatAddress(cidr.address)}/${cidr.prefix}`;
}

/** Reads the block that CIDR text names: `10.0.0.2/24` gives 10.0.0.0/24. */
export function parseSubnet(text: string): Subnet | undefined {
  const cidr = parseCidr(text);
  return cidr === undefined ? undefined : subnetOf(cidr);
}

/** Writes a block: `10.0.0.0/24`. */
export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress({ family: subnet.family, value: subnet.base })}/${subnet.prefix}`;
}

/** The block that an address with a prefix length lies in. */
function subnetOf(cidr: Cidr): Subnet {
  const { family, value } = cidr.address;
  const hostBits = BigInt(addressBits(family) - cidr.prefix);
  return { family, base: (value >> hostBits) << hostBits, prefix: cidr.prefix };
}

/** Number of addresses in the block. */
export function subnetSize(subnet: Subnet): bigint {
  return 1n << BigInt(addressBits(subnet.family) - subnet.prefix);
}

/** The last address of the block; for family 4 that is its broadcast address. */
export function lastAddress(subnet: Subnet): bigint {
  return subnet.base + subnetSize(subnet) - 1n;
}

/** Whether the address lies in the block. */
export function contains(subnet: Subnet, address: Address): boolean {
  if (subnet.family !== address.family) return false;
  return address.value >= subnet.base && address.value <= lastAddress(subnet);
}

/** Whether every address of `inner` lies in `outer`. */
export function containsSubnet(outer: Subnet, inner: Subnet): boolean {
  return inner.prefix >= outer.prefix && contains(outer, firstAddress(inner));
}

/** Whether the two blocks share an address. */
export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.prefix <= b.prefix ? containsSubnet(a, b) : containsSubnet(b, a);
}

function firstAddress(subnet: Subnet): Address {
  return { family: subnet.family, value: subnet.base };
}

/** A plain decimal number without sign or leading zero, at most `limit`. */
function parseDecimal(text: string, limit: number): number | undefined {
  if (text.length === 0 || text.length > 3) return undefined;
  if (text.length > 1 && text.startsWith('0')) return undefined;
  let value = 0;
  for (let i = 0; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return value > limit ? undefined : value;
}

function parseIpv4(text: string): Address | undefined {
  const parts = text.split('.');
  if (parts.length !== 4) return undefined;
  let value = 0;
  for (const part of parts) {
    const byte = parseDecimal(part, 255);
    if (byte === undefined) return undefined;
    value = value * 256 + byte;
  }
  return { family: 4, value: BigInt(value) };
}

function formatIpv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 255}.${(value >>> 8) & 255}.${value & 255}`;
}

const GROUP = /^[0-9a-fA-F]{1,4}$/;

/** The 16-bit groups of one side of `::`, the last of which may be dotted decimal. */
function parseGroups(text: string, mayEndDotted: boolean): number[] | undefined {
  if (text === '') return [];
  const parts = text.split(':');
  const groups: number[] = [];
  for (const [i, part] of parts.entries()) {
    if (GROUP.test(part)) {
      groups.push(Number.parseInt(part, 16));
      continue;
    }
    const dotted = mayEndDotted && i === parts.length - 1 ? parseIpv4(part) : undefined;
    if (dotted === undefined) return undefined;
    groups.push(Number(dotted.value >> 16n), Number(dotted.value & 0xffffn));
  }
  return groups;
}

function parseIpv6(text: string): Address | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const head = parseGroups(halves[0] ?? '', halves.length === 1);
  const tail = parseGroups(halves[1] ?? '', true);
  if (head === undefined || tail === undefined) return undefined;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  let value = 0n;
  for (const group of head) value = (value << 16n) | BigInt(group);
  value <<= BigInt(16 * missing);
  for (const group of tail) value = (value << 16n) | BigInt(group);
  return { family: 6, value };
}

function formatIpv6(value: bigint): string {
  assert.ok(value >= 0n && value >> 128n === 0n, 'an IPv6 address has 128 bits');
  const groups: number[] = [];
  for (let shift = 112n; shift >= 0n; shift -= 16n) {
    groups.push(Number((value >> shift) & 0xffffn));
  }
  const { start, length } = longestZeroRun(groups);
  if (length < 2) return formatGroups(groups);
  return `${formatGroups(groups.slice(0, start))}::${formatGroups(groups.slice(start + length))}`;
}

function formatGroups(groups: readonly number[]): string {
  return groups.map((group) => group.toString(16)).join(':');
}

function longestZeroRun(groups: readonly number[]): { start: number; length: number } {
  let best = { start: 0, length: 0 };
  let start = 0;
  for (let i = 0; i <= groups.length; i++) {
    if (groups[i] === 0) continue;
    if (i - start > best.length) best = { start, length: i - start };
    start = i + 1;
  }
  return best;
}
