import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SERIAL_POOL_SIZE_MAX, SerialPool } from './serial-pool.ts';

/** The same by plain search through a map of counts. */
class SlowPool {
  readonly counts = new Map<number, number>();
  readonly #low: number;
  readonly #high: number;
  #cursor: number;

  constructor(low: number, high: number) {
    this.#low = low;
    this.#high = high;
    this.#cursor = low;
  }

  get used(): number {
    return [...this.counts.keys()].filter((n) => n >= this.#low && n < this.#high).length;
  }

  take(): number | undefined {
    for (let i = 0; i < this.#high - this.#low; i++) {
      const n = this.#low + ((this.#cursor - this.#low + i) % (this.#high - this.#low));
      if (this.counts.has(n)) continue;
      this.counts.set(n, 1);
      this.#cursor = n + 1;
      return n;
    }
    return undefined;
  }

  hold(n: number): boolean {
    this.counts.set(n, (this.counts.get(n) ?? 0) + 1);
    return this.counts.get(n) === 1;
  }

  release(n: number): boolean {
    const count = this.counts.get(n) ?? 0;
    if (count > 1) this.counts.set(n, count - 1);
    else this.counts.delete(n);
    return count === 1;
  }

  resumeAfter(n: number): void {
    if (n >= this.#low && n < this.#high) this.#cursor = Math.max(this.#cursor, n + 1);
  }
}

const bounds = fc
  .tuple(fc.integer({ min: 1, max: 3000 }), fc.nat(), fc.nat())
  .map(([size, a, b]) => {
    const low = a % size;
    return { size, low, high: low + (b % (size - low)) + 1 };
  });

test('property: a pool is a set of counts with a cursor', () => {
  const action = fc.tuple(
    fc.constantFrom('take', 'take', 'take', 'claim', 'hold', 'release', 'resumeAfter', 'burst'),
    fc.nat(),
  );
  fc.assert(
    fc.property(bounds, fc.array(action, { maxLength: 200 }), (options, actions) => {
      const pool = new SerialPool(options);
      const slow = new SlowPool(options.low, options.high);
      for (const [what, luck] of actions) {
        const n = luck % options.size;
        if (what === 'take') assert.equal(pool.take(), slow.take());
        if (what === 'burst') {
          for (let i = 0; i < luck % 1500; i++) assert.equal(pool.take(), slow.take());
        }
        if (what === 'claim') {
          assert.equal(pool.claim(n), !slow.counts.has(n));
          if (!slow.counts.has(n)) slow.hold(n);
        }
        if (what === 'hold') assert.equal(pool.hold(n), slow.hold(n));
        if (what === 'resumeAfter') {
          pool.resumeAfter(n);
          slow.resumeAfter(n);
        }
        if (what === 'release' && slow.counts.size > 0) {
          const held = [...slow.counts.keys()][luck % slow.counts.size] ?? 0;
          assert.equal(pool.release(held), slow.release(held));
        }
        assert.equal(pool.has(n), slow.counts.has(n));
        assert.equal(pool.used, slow.used);
        assert.equal(pool.free, pool.total - slow.used);
      }
    }),
    { numRuns: 200 },
  );
});

test('a number that was just freed is given again last', () => {
  const pool = new SerialPool({ size: 5, low: 0, high: 5 });
  assert.deepEqual([pool.take(), pool.take(), pool.take()], [0, 1, 2]);
  pool.release(1);
  assert.deepEqual([pool.take(), pool.take(), pool.take(), pool.take()], [3, 4, 1, undefined]);
});

test('the last free number of a full pool of the largest size is found', () => {
  const pool = new SerialPool({
    size: SERIAL_POOL_SIZE_MAX,
    low: 0,
    high: SERIAL_POOL_SIZE_MAX,
  });
  for (let n = 0; n < 40_000; n++) assert.equal(pool.take(), n);
  pool.release(7);
  pool.resumeAfter(SERIAL_POOL_SIZE_MAX - 1);
  assert.equal(pool.take(), 7, 'the cursor starts over');
  assert.equal(pool.take(), 40_000, 'full pages are passed');
});

test('freeing what is not taken is our own mistake', () => {
  const pool = new SerialPool({ size: 4, low: 0, high: 4 });
  assert.throws(() => pool.release(1), /1 is freed but was not taken/);
  assert.throws(() => pool.has(4), /4 is not in the pool/);
});
