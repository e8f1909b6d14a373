/**
 * Which blocks of addresses belong to which network, and which block a new network gets.
 *
 * The default pools are cut into equal blocks, handed out serially; a later pool is used when the
 * earlier ones are full. Blocks that users name may lie anywhere but on one another.
 */
import type { Subnet } from '../../../shared/model/addresses.ts';
import {
  addressBits,
  containsSubnet,
  formatSubnet,
  lastAddress,
  overlaps,
} from '../../../shared/model/addresses.ts';
import { SerialPool } from './serial-pool.ts';

/** A pool may be cut into at most this many blocks; what is behind them is left alone. */
const BLOCKS_MAX = 2 ** 20;

type Block = { readonly subnet: Subnet; readonly owner: string };
type Pool = { readonly subnet: Subnet; readonly blocks: SerialPool };

export class SubnetBook {
  readonly #prefix: number;
  readonly #pools: readonly Pool[];
  /** Blocks of each family that do not overlap, by rising base. */
  readonly #blocks: { readonly 4: Block[]; readonly 6: Block[] } = { 4: [], 6: [] };
  /** Blocks that overlapped another when they were held: only a store written by others has any. */
  readonly #strays: Block[] = [];

  /**
   * @param pools blocks of family 4 to cut
   * @param prefix length in bits of the network part of each block
   */
  constructor(pools: readonly Subnet[], prefix: number) {
    this.#prefix = prefix;
    this.#pools = pools
      .filter((subnet) => subnet.prefix <= prefix && prefix <= addressBits(subnet.family))
      .map((subnet) => {
        const size = Math.min(2 ** (prefix - subnet.prefix), BLOCKS_MAX);
        return { subnet, blocks: new SerialPool({ size, low: 0, high: size }) };
      });
  }

  /** Why there is no block to be had. */
  describeFull(): string {
    const pools = this.#pools.map((pool) => formatSubnet(pool.subnet)).join(', ');
    return `no free /${this.#prefix} subnet in the default address pools (${pools})`;
  }

  /** A block that shares addresses with this one, and the name of its network. */
  overlapping(subnet: Subnet): { readonly subnet: Subnet; readonly owner: string } | undefined {
    const blocks = this.#blocks[subnet.family];
    const after = firstAbove(blocks, subnet.base);
    return [blocks[after - 1], blocks[after], ...this.#strays].find(
      (block) => block !== undefined && overlaps(block.subnet, subnet),
    );
  }

  /** Takes a block for a network, even if it overlaps another's. */
  hold(subnet: Subnet, owner: string): void {
    if (this.overlapping(subnet) === undefined) {
      const blocks = this.#blocks[subnet.family];
      blocks.splice(firstAbove(blocks, subnet.base), 0, { subnet, owner });
    } else {
      this.#strays.push({ subnet, owner });
    }
    this.#eachPoolBlock(subnet, (pool, n) => pool.hold(n));
  }

  /** Takes a block for a network that has had it since an earlier life of the book. */
  restore(subnet: Subnet, owner: string): void {
    this.hold(subnet, owner);
    if (subnet.prefix === this.#prefix) {
      this.#eachPoolBlock(subnet, (pool, n) => pool.resumeAfter(n));
    }
  }

  /** Takes the next free block of the default pools. */
  take(owner: string): Subnet | undefined {
    for (const pool of this.#pools) {
      const n = pool.blocks.take();
      if (n === undefined) continue;
      pool.blocks.release(n);
      const { family } = pool.subnet;
      const base = pool.subnet.base + (BigInt(n) << BigInt(addressBits(family) - this.#prefix));
      const subnet = { family, base, prefix: this.#prefix };
      this.hold(subnet, owner);
      return subnet;
    }
    return undefined;
  }

  /** Gives a network's block back. */
  release(subnet: Subnet, owner: string): void {
    const same = (block: Block): boolean =>
      block.owner === owner && formatSubnet(block.subnet) === formatSubnet(subnet);
    const blocks = this.#blocks[subnet.family];
    const index = firstAbove(blocks, subnet.base) - 1;
    const block = blocks[index];
    if (block !== undefined && same(block)) blocks.splice(index, 1);
    else this.#strays.splice(this.#strays.findIndex(same), 1);
    this.#eachPoolBlock(subnet, (pool, n) => pool.release(n));
  }

  #eachPoolBlock(subnet: Subnet, visit: (pool: SerialPool, n: number) => void): void {
    for (const pool of this.#pools) {
      if (!overlaps(pool.subnet, subnet)) continue;
      const shift = BigInt(addressBits(subnet.family) - this.#prefix);
      const whole = containsSubnet(subnet, pool.subnet);
      const first = whole ? 0n : (subnet.base - pool.subnet.base) >> shift;
      const last = whole
        ? BigInt(pool.blocks.size - 1)
        : (lastAddress(subnet) - pool.subnet.base) >> shift;
      for (let n = first; n <= last && n < BigInt(pool.blocks.size); n++) {
        visit(pool.blocks, Number(n));
      }
    }
  }
}

/** Index of the first block whose base is above the value. */
function firstAbove(blocks: readonly Block[], value: bigint): number {
  let low = 0;
  let high = blocks.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const block = blocks[middle];
    if (block !== undefined && block.subnet.base <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
