/**
 * The addresses of one subnet: which are taken, and which comes next.
 *
 * The network's own address and, in family 4, its broadcast address are never given (a /31 or /32
 * has neither). Only a window of the subnet is given out by itself: the range the user named, or
 * the whole; at most 2^24 addresses of it, which is what an IPv6 subnet comes to. Any other address
 * of the subnet can still be asked for by name.
 */
import type { Address, AddressFamily, Subnet } from '../../../shared/model/addresses.ts';
import {
  addressBits,
  contains,
  formatAddress,
  formatSubnet,
  lastAddress,
} from '../../../shared/model/addresses.ts';
import { SERIAL_POOL_SIZE_MAX, SerialPool } from './serial-pool.ts';

export class AddressPool {
  readonly subnet: Subnet;
  /** The subnet as CIDR text. */
  readonly text: string;
  readonly #windowBase: bigint;
  readonly #window: SerialPool;
  /** Holders of addresses outside the window. */
  readonly #outside = new Map<bigint, number>();
  readonly #firstUsable: bigint;
  readonly #lastUsable: bigint;

  /** @param range the part of the subnet to give addresses from; it must lie inside the subnet */
  constructor(subnet: Subnet, range: Subnet = subnet) {
    this.subnet = subnet;
    this.text = formatSubnet(subnet);
    const pointToPoint = addressBits(subnet.family) - subnet.prefix <= 1;
    this.#firstUsable = pointToPoint ? subnet.base : subnet.base + 1n;
    this.#lastUsable =
      pointToPoint || subnet.family === 6 ? lastAddress(subnet) : lastAddress(subnet) - 1n;
    this.#windowBase = range.base;
    const length = smaller(lastAddress(range) - range.base + 1n, BigInt(SERIAL_POOL_SIZE_MAX));
    const low = larger(this.#firstUsable, range.base) - range.base;
    const high = smaller(this.#lastUsable - range.base + 1n, length);
    this.#window = new SerialPool({
      size: Number(length),
      low: Number(low),
      high: Number(high < low ? low : high),
    });
  }

  get family(): AddressFamily {
    return this.subnet.family;
  }

  /** How many addresses this pool gives by itself. */
  get total(): number {
    return this.#window.total;
  }

  /** How many of those are taken. */
  get used(): number {
    return this.#window.used;
  }

  contains(address: Address): boolean {
    return contains(this.subnet, address);
  }

  /** Whether somebody holds the address, which must lie in the subnet. */
  has(value: bigint): boolean {
    const offset = this.#offset(value);
    return offset === undefined ? this.#outside.has(value) : this.#window.has(offset);
  }

  /** Whether the address could be somebody's: not the network's own, nor its broadcast address. */
  isUsable(value: bigint): boolean {
    return value >= this.#firstUsable && value <= this.#lastUsable;
  }

  /** Takes the next free address. */
  take(): bigint | undefined {
    const offset = this.#window.take();
    return offset === undefined ? undefined : this.#windowBase + BigInt(offset);
  }

  /** Takes this address; false when it is taken. */
  claim(value: bigint): boolean {
    const offset = this.#offset(value);
    if (offset !== undefined) return this.#window.claim(offset);
    if (this.#outside.has(value)) return false;
    this.#outside.set(value, 1);
    return true;
  }

  /** Takes an address for one who has it already; false when another has it too. */
  hold(value: bigint): boolean {
    const offset = this.#offset(value);
    if (offset !== undefined) {
      this.#window.resumeAfter(offset);
      return this.#window.hold(offset);
    }
    const holders = this.#outside.get(value) ?? 0;
    this.#outside.set(value, holders + 1);
    return holders === 0;
  }

  /** Gives the address back; true when nobody holds it any more. */
  release(value: bigint): boolean {
    const offset = this.#offset(value);
    if (offset !== undefined) return this.#window.release(offset);
    const holders = this.#outside.get(value) ?? 0;
    if (holders > 1) this.#outside.set(value, holders - 1);
    else this.#outside.delete(value);
    return holders <= 1;
  }

  /** Takes the lowest usable address of the subnet that is free, as a gateway. */
  claimFirst(): bigint | undefined {
    for (let value = this.#firstUsable; value <= this.#lastUsable; value++) {
      if (this.claim(value)) return value;
    }
    return undefined;
  }

  /** The address in CIDR form, as it stands in tasks, nodes and endpoints. */
  format(value: bigint): string {
    return `${formatAddress({ family: this.family, value })}/${this.subnet.prefix}`;
  }

  #offset(value: bigint): number | undefined {
    const offset = value - this.#windowBase;
    return offset >= 0n && offset < BigInt(this.#window.size) ? Number(offset) : undefined;
  }
}

function smaller(a: bigint, b: bigint): bigint {
  return a < b ? a : b;
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
