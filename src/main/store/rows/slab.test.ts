import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Slab } from './slab.ts';

type Step = {
  readonly act: 'add' | 'hold' | 'release';
  readonly size: number;
  readonly which: number;
};

/** Sizes at which something changes: slots, the largest slot, values that stand apart. */
const sizes = fc.oneof(
  fc.constantFrom(0, 1, 23, 24, 25, 4087, 4088, 4089, 5000),
  fc.nat(200),
  fc.nat(9000),
);
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    act: fc.constantFrom('add', 'add', 'hold', 'release', 'release'),
    size: sizes,
    which: fc.nat(1000),
  }),
  { maxLength: 300 },
);

const filled = (size: number, n: number): Uint8Array => new Uint8Array(size).fill(n % 251);

test('values stay what they are until their last holder lets go', () => {
  fc.assert(
    fc.property(steps, (list) => {
      const slab = new Slab();
      const held: { handle: number; value: Uint8Array; holders: number }[] = [];
      for (const [n, { act, size, which }] of list.entries()) {
        const one = held[which % Math.max(1, held.length)];
        if (act === 'add' || one === undefined) {
          const value = filled(size, n);
          held.push({ handle: slab.add(value), value, holders: 1 });
        } else if (act === 'hold') {
          slab.hold(one.handle);
          one.holders += 1;
        } else {
          slab.release(one.handle);
          one.holders -= 1;
          if (one.holders === 0) held.splice(held.indexOf(one), 1);
        }
      }
      for (const { handle, value } of held) {
        assert.deepEqual(new Uint8Array(slab.get(handle)), value);
        assert.equal(slab.length(handle), value.length);
        assert.equal(handle === 0, value.length === 0);
      }
      const handles = held.map(({ handle }) => handle).filter((handle) => handle !== 0);
      assert.equal(new Set(handles).size, handles.length);
      assert.equal(slab.size, handles.length);
      for (const { handle, holders } of held) {
        for (let n = 0; n < holders; n += 1) slab.release(handle);
      }
      assert.equal(slab.size, 0);
    }),
    { numRuns: 200 },
  );
});

test('pages that are empty serve other sizes, and memory does not grow', () => {
  const slab = new Slab();
  const round = (bytes: number): number => {
    const handles = Array.from({ length: 40_000 }, () => slab.add(filled(bytes, 1)));
    const peak = slab.allocatedBytes;
    for (const handle of handles) slab.release(handle);
    return peak;
  };
  const first = round(100);
  assert.ok(first >= 40_000 * 128 && first <= 41_000 * 128 + 2 ** 20, String(first));
  for (const bytes of [100, 60, 100, 120]) {
    assert.ok(round(bytes) <= first + 6 * 2 ** 20, `${bytes}: ${slab.allocatedBytes}`);
  }
  assert.ok(slab.allocatedBytes <= 8 * 2 ** 20, String(slab.allocatedBytes));
});

test('a handle of nothing is refused', () => {
  const slab = new Slab();
  const handle = slab.add(filled(5000, 1));
  slab.release(handle);
  assert.throws(() => slab.get(handle), /no large value/);
  assert.throws(() => slab.get(99_999_999), /no slab page/);
});
