/**
 * A seeded generator of random numbers with 128 bits of state (xoshiro128**, by Blackman and
 * Vigna), so that a 64-bit seed gives a run of its own and the same seed the same run. Not for
 * secrets.
 */
import assert from 'node:assert/strict';

const rotate = (x: number, k: number): number => (x << k) | (x >>> (32 - k));

export class Random {
  readonly #state: Int32Array;

  constructor(seed: bigint) {
    this.#state = new Int32Array(4);
    // splitmix64 spreads near seeds over the whole state.
    let mixed = BigInt.asUintN(64, seed);
    for (let i = 0; i < 4; i += 2) {
      mixed = BigInt.asUintN(64, mixed + 0x9e3779b97f4a7c15n);
      let z = mixed;
      z = BigInt.asUintN(64, (z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n);
      z = BigInt.asUintN(64, (z ^ (z >> 27n)) * 0x94d049bb133111ebn);
      z ^= z >> 31n;
      this.#state[i] = Number(BigInt.asIntN(32, z));
      this.#state[i + 1] = Number(BigInt.asIntN(32, z >> 32n));
    }
  }

  /** 32 random bits, unsigned. */
  next(): number {
    const s = this.#state;
    const [s0, s1, s2, s3] = [s[0] ?? 0, s[1] ?? 0, s[2] ?? 0, s[3] ?? 0];
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
    const t = s1 << 9;
    const c = s2 ^ s0;
    const d = s3 ^ s1;
    s[1] = s1 ^ c;
    s[0] = s0 ^ d;
    s[2] = c ^ t;
    s[3] = rotate(d, 11);
    return result;
  }

  /** A whole number from 0 up to, not including, `limit` (1 to 2^32), without bias. */
  below(limit: number): number {
    assert(limit >= 1 && limit <= 0x1_0000_0000, `limit ${limit} is not in 1..2^32`);
    const bound = 0x1_0000_0000 - (0x1_0000_0000 % limit);
    for (;;) {
      const value = this.next();
      if (value < bound) return value % limit;
    }
  }

  /** A number from 0 up to, not including, 1. */
  unit(): number {
    return this.next() / 0x1_0000_0000;
  }
}
