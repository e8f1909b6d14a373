/**
 * The managers that a node knows, each with a weight that experience moves: which one to try next
 * (behaviour rule 12.4).
 */
import type { Peer } from '../../../shared/wire/gen/types.ts';

export const REMOTES = { success: 10, failure: -10, weightMax: 256, bias: 0.001 } as const;

const clip = (weight: number): number =>
  Math.max(-REMOTES.weightMax, Math.min(REMOTES.weightMax, weight));

export class Remotes {
  readonly #weights = new Map<string, { readonly peer: Peer; weight: number }>();

  constructor(peers: readonly Peer[] = []) {
    for (const peer of peers) this.observe(peer, REMOTES.success);
  }

  get size(): number {
    return this.#weights.size;
  }

  /** All peers, by node id. */
  peers(): Peer[] {
    return [...this.#weights.values()]
      .map(({ peer }) => peer)
      .toSorted((a, b) => (a.nodeId < b.nodeId ? -1 : Number(a.nodeId > b.nodeId)));
  }

  /** Moves a manager's weight half way to the observation; a new one is added. */
  observe(peer: Peer, observation: number): void {
    const known = this.#weights.get(peer.addr);
    const before = known?.weight ?? 0;
    const weight = clip(Math.ceil(0.5 * observation + 0.5 * before));
    this.#weights.set(peer.addr, { peer, weight });
  }

  /** The same, but only for a manager that is known. */
  observeIfKnown(address: string, observation: number): void {
    const known = this.#weights.get(address);
    if (known !== undefined) this.observe(known.peer, observation);
  }

  /** Forgets all but these; gives whether anything changed. */
  keep(addresses: ReadonlySet<string>): boolean {
    const before = this.#weights.size;
    for (const address of this.#weights.keys()) {
      if (!addresses.has(address)) this.#weights.delete(address);
    }
    return this.#weights.size !== before;
  }

  /** Forgets what this node id is known by. */
  forget(nodeId: string): void {
    for (const [address, { peer }] of this.#weights) {
      if (peer.nodeId === nodeId) this.#weights.delete(address);
    }
  }

  /**
   * One of them, by luck and weight; those with a bad record seldom. Undefined when there is none.
   * `except` is the node id of one that is not meant, `tried` are addresses where it is not worth it.
   */
  select(
    unit: () => number,
    except?: string,
    tried: ReadonlySet<string> = new Set(),
  ): Peer | undefined {
    const meant = [...this.#weights.values()].filter(
      ({ peer }) => peer.nodeId !== except && !tried.has(peer.addr),
    );
    const all = meant.map(({ peer, weight }) => ({
      peer,
      share: Math.max(0, weight) + REMOTES.bias,
    }));
    let at = unit() * all.reduce((sum, { share }) => sum + share, 0);
    for (const { peer, share } of all) {
      at -= share;
      if (at < 0) return peer;
    }
    return all.at(-1)?.peer;
  }
}
