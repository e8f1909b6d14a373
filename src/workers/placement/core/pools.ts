/**
 * The pools in use, by what their profiles find eligible; those unused longest are given up. A profile
 * whose walks have wasted as many steps as there are nodes gets a narrow pool: its making costs no
 * more than was wasted. A flat pool is without the branches of the spread.
 */
import type { CompiledProfile } from './compiled-profile.ts';
import type { NodeTable } from './node-table.ts';
import { Pool, type PoolKind } from './pool.ts';

/** Nodes kept in all pools together: about 14 bytes each. */
const POOLED_NODES_MAX = 16_000_000;
const POOLS_MIN = 16;

const NO_SPREAD: readonly string[] = [];

/** A pool in use. */
export type Kept = {
  readonly key: string;
  readonly pool: Pool;
  readonly isNarrow: boolean;
  /** When it was last used, as a count of uses of any. */
  usedAt: number;
  /** False once the pool was given up. */
  isKept: boolean;
};

export class Pools {
  readonly #nodes: NodeTable;
  readonly #byKey = new Map<string, Kept>();
  #clock = 0;

  constructor(nodes: NodeTable) {
    this.#nodes = nodes;
  }

  /** The pool of a profile, up to date. */
  get(profile: CompiledProfile): Pool {
    if (profile.spread.length === 0) return this.flat(profile);
    const isNarrow = this.#isNarrow(profile);
    let kept = profile.tree;
    if (kept === undefined || kept.isNarrow !== isNarrow || !kept.isKept) {
      const key = isNarrow ? profile.narrowKey : profile.poolKey;
      kept = this.#keep(key, profile, { isNarrow, spread: profile.spread });
      profile.tree = kept;
    }
    return this.#use(kept);
  }

  /** The pool of a profile as if it had no spread, up to date. */
  flat(profile: CompiledProfile): Pool {
    const isNarrow = this.#isNarrow(profile);
    let kept = profile.flat;
    if (kept === undefined || kept.isNarrow !== isNarrow || !kept.isKept) {
      const key = isNarrow ? profile.flatNarrowKey : profile.flatKey;
      kept = this.#keep(key, profile, { isNarrow, spread: NO_SPREAD });
      profile.flat = kept;
    }
    return this.#use(kept);
  }

  #isNarrow(profile: CompiledProfile): boolean {
    return profile.wasted > this.#nodes.size;
  }

  #use(kept: Kept): Pool {
    kept.usedAt = ++this.#clock;
    kept.pool.sync();
    return kept.pool;
  }

  #keep(key: string, profile: CompiledProfile, kind: PoolKind): Kept {
    const known = this.#byKey.get(key);
    if (known !== undefined) return known;
    const pool = new Pool(this.#nodes, profile, kind);
    const kept = { key, pool, isNarrow: kind.isNarrow, usedAt: ++this.#clock, isKept: true };
    this.#byKey.set(key, kept);
    this.#giveUpOldest();
    return kept;
  }

  #giveUpOldest(): void {
    const poolsMax = Math.max(POOLS_MIN, POOLED_NODES_MAX / Math.max(1, this.#nodes.size));
    if (this.#byKey.size <= poolsMax) return;
    let [oldest] = this.#byKey.values();
    for (const kept of this.#byKey.values()) {
      if (oldest === undefined || kept.usedAt < oldest.usedAt) oldest = kept;
    }
    if (oldest === undefined) return;
    oldest.isKept = false;
    this.#byKey.delete(oldest.key);
  }
}
