/**
 * The pools in use, by what their profiles find eligible; those unused longest are given up. A profile
 * whose walks have wasted as many steps as there are nodes gets a narrow pool: its making costs no
 * more than was wasted.
 */
import type { CompiledProfile } from './compiled-profile.ts';
import type { NodeTable } from './node-table.ts';
import { Pool } from './pool.ts';

/** Nodes kept in all pools together: about 14 bytes each. */
const POOLED_NODES_MAX = 16_000_000;
const POOLS_MIN = 16;

export class Pools {
  readonly #nodes: NodeTable;
  /** In the order of last use, oldest first. */
  readonly #pools = new Map<string, Pool>();

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
  }

  /** The pool of a profile, up to date. */
  get(profile: CompiledProfile): Pool {
    const isNarrow = profile.wasted > this.#nodes.size;
    const key = isNarrow ? profile.narrowKey : profile.poolKey;
    const kept = this.#pools.get(key);
    const pool = kept ?? new Pool(this.#nodes, profile, isNarrow);
    if (this.#newest !== pool) {
      this.#pools.delete(key);
      this.#pools.set(key, pool);
      this.#newest = pool;
      if (kept === undefined) this.#giveUpOldest();
    }
    pool.sync();
    return pool;
  }

  #newest: Pool | undefined;

  #giveUpOldest(): void {
    const poolsMax = Math.max(POOLS_MIN, POOLED_NODES_MAX / Math.max(1, this.#nodes.size));
    for (const key of this.#pools.keys()) {
      if (this.#pools.size <= poolsMax) return;
      this.#pools.delete(key);
    }
  }
}
