/** The steps of room: what they promise to whoever skips by them. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { highestRoom, roomOf, ROOMS, roomsFor } from './room.ts';

const nanoCpus = fc.oneof(fc.nat(2_000_000_000), fc.maxSafeNat());
const memoryBytes = fc.oneof(fc.nat(2_000_000_000), fc.maxSafeNat());

function has(mask: { low: number; high: number }, room: number): boolean {
  return ((room < 32 ? mask.low >>> room : mask.high >>> (room - 32)) & 1) === 1;
}

test('[PL62] a node that fits a request is in a room of the request', () => {
  fc.assert(
    fc.property(
      nanoCpus,
      memoryBytes,
      nanoCpus,
      memoryBytes,
      (cpu, memory, moreCpu, moreMemory) => {
        const room = roomOf(cpu + moreCpu, memory + moreMemory);
        assert.ok(has(roomsFor(cpu, memory), room));
      },
    ),
  );
});

test('[PL62] rooms below a request are ruled out', () => {
  assert.equal(roomOf(-1, -1), 0);
  assert.equal(roomOf(249_999_999, 0), 0);
  assert.equal(roomOf(250_000_000, 268_435_456), 9);
  assert.equal(roomOf(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER), ROOMS - 1);
  const mask = roomsFor(1_000_000_000, 0);
  assert.equal(has(mask, roomOf(999_999_999, 1e12)), false);
  assert.equal(has(mask, roomOf(1_000_000_000, 0)), true);
  assert.deepEqual(roomsFor(0, 0), { low: -1, high: -1 });
});

test('the highest room of a mask is found from any point down', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer(), fc.integer({ min: -1, max: 63 }), (low, high, from) => {
      let expected = -1;
      for (let room = 0; room <= from; room++) if (has({ low, high }, room)) expected = room;
      assert.equal(highestRoom(low, high, from), expected);
    }),
  );
});
