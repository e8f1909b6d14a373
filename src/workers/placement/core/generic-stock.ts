/**
 * The generic resources of one node: what it offers of each kind, and which part of that is held.
 * A kind is a set of names or a number. The names given to a task are the first free ones in the
 * order in which the node lists them.
 */
import assert from 'node:assert/strict';
import type {
  GenericClaim,
  GenericOffer,
  GenericRequest,
} from '../../../shared/lanes/placement.ts';

export class GenericStock {
  readonly #names = new Map<string, readonly string[]>();
  readonly #counts = new Map<string, number>();
  /** Holders of each name, by kind: more than one only when somebody else gave the name away. */
  readonly #heldNames = new Map<string, Map<string, number>>();
  readonly #heldCounts = new Map<string, number>();

  /** Replaces what the node offers; what is held stays held. */
  offer(offers: readonly GenericOffer[]): void {
    this.#names.clear();
    this.#counts.clear();
    for (const { kind, names, count } of offers) {
      if (names.length > 0) this.#names.set(kind, [...(this.#names.get(kind) ?? []), ...names]);
      else this.#counts.set(kind, (this.#counts.get(kind) ?? 0) + count);
    }
  }

  /** How much of a kind is free. A kind that is offered as names is counted in names alone. */
  free(kind: string): number {
    const names = this.#names.get(kind);
    if (names !== undefined) return this.#freeNames(kind, names).length;
    return (this.#counts.get(kind) ?? 0) - (this.#heldCounts.get(kind) ?? 0);
  }

  /** Takes what is asked for, which must be free. */
  claim(requests: readonly GenericRequest[]): GenericClaim[] {
    const claims = requests.map(({ kind, count }): GenericClaim => {
      assert.ok(this.free(kind) >= count, `${kind} is claimed beyond what is free`);
      const names = this.#names.get(kind);
      if (names === undefined) return { kind, names: [], count };
      return { kind, names: this.#freeNames(kind, names).slice(0, count), count: 0 };
    });
    this.hold(claims);
    return claims;
  }

  /** Notes what a task holds, whether or not the node (still) offers it. */
  hold(claims: readonly GenericClaim[]): void {
    this.#change(claims, 1);
  }

  /** The reverse of `hold`. */
  release(claims: readonly GenericClaim[]): void {
    this.#change(claims, -1);
  }

  #freeNames(kind: string, names: readonly string[]): string[] {
    const held = this.#heldNames.get(kind);
    return names.filter((name) => (held?.get(name) ?? 0) === 0);
  }

  #change(claims: readonly GenericClaim[], change: 1 | -1): void {
    for (const { kind, names, count } of claims) {
      if (names.length === 0) {
        this.#heldCounts.set(kind, (this.#heldCounts.get(kind) ?? 0) + change * count);
        continue;
      }
      const held = this.#heldNames.get(kind) ?? new Map<string, number>();
      this.#heldNames.set(kind, held);
      for (const name of names) bump(held, name, change);
    }
  }
}

/** Adds to a count in a map; a count that comes to 0 is deleted. */
export function bump<Key>(counts: Map<Key, number>, key: Key, change: number): void {
  const count = (counts.get(key) ?? 0) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
