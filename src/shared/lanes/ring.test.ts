import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ringMemoryBytes, RingReader, RingWriter, type RingPlace } from './ring.ts';

function place(capacityBytes: number, offsetBytes = 0): RingPlace {
  const memory = new SharedArrayBuffer(offsetBytes + ringMemoryBytes(capacityBytes));
  return { memory, offsetBytes, capacityBytes };
}

/** A ring whose counters stand at `count`, as after that many bytes. */
function agedPlace(capacityBytes: number, count: number): RingPlace {
  const at = place(capacityBytes);
  const words = new Int32Array(at.memory);
  words[0] = count;
  words[32] = count;
  return at;
}

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 0xff);
}

function takeOne(reader: RingReader): { readonly bytes: Uint8Array; readonly tag: number } {
  const bytes = new Uint8Array(reader.peekLength());
  const tag = reader.peekTag();
  reader.take(bytes, 0);
  return { bytes, tag };
}

test('a frame comes out as it went in, with its tag', () => {
  const at = place(64, 128);
  const writer = new RingWriter(at);
  const reader = new RingReader(at);
  assert.equal(reader.peekLength(), -1);
  assert.ok(writer.tryWrite(bytesOf(5, 1), 7));
  assert.equal(writer.depthBytes, 12);
  assert.equal(reader.depthBytes, 12);
  assert.deepEqual(takeOne(reader), { bytes: bytesOf(5, 1), tag: 7 });
  assert.equal(reader.peekLength(), -1);
  assert.equal(writer.depthBytes, 0);
});

test('a full ring refuses, counts the stall, and takes again when there is room', () => {
  const at = place(64);
  const writer = new RingWriter(at);
  const reader = new RingReader(at);
  const frame = bytesOf(writer.frameBytesMax, 2);
  assert.ok(writer.tryWrite(frame, 0));
  assert.ok(writer.tryWrite(frame, 0));
  assert.equal(writer.hasRoom(0), false);
  assert.equal(writer.tryWrite(bytesOf(0, 0), 0), false);
  assert.equal(writer.stalls, 1);
  assert.equal(reader.stalls, 1);
  assert.equal(reader.isHalfEmpty, false);
  takeOne(reader);
  assert.equal(reader.isHalfEmpty, true);
  assert.ok(writer.tryWrite(frame, 0), 'half a ring is always enough for a frame');
});

test('a frame above the maximum and an odd capacity are bugs', () => {
  const writer = new RingWriter(place(64));
  assert.throws(() => writer.tryWrite(bytesOf(writer.frameBytesMax + 1, 0), 0), /as parts/);
  for (const capacity of [0, 32, 100, 2 ** 28]) {
    assert.throws(() => ringMemoryBytes(capacity), /power of two/);
  }
});

test('what was taken is not shared with the ring', () => {
  const at = place(64);
  const writer = new RingWriter(at);
  const reader = new RingReader(at);
  const sent = bytesOf(20, 3);
  writer.tryWrite(sent, 0);
  sent.fill(0);
  const { bytes } = takeOne(reader);
  for (let i = 0; i < 10; i++) {
    writer.tryWrite(new Uint8Array(20), 0);
    takeOne(reader);
  }
  assert.deepEqual(bytes, bytesOf(20, 3));
});

test('property: a ring is a queue, whatever the sizes and the order, past the counters’ overflow', () => {
  const step = fc.oneof(
    fc.record({ put: fc.nat(1 << 16), tag: fc.nat(7) }),
    fc.constant('take' as const),
  );
  fc.assert(
    fc.property(
      fc.constantFrom(64, 128, 1024),
      fc.constantFrom(0, 0x7fffffc0, -64, -4),
      fc.array(step, { maxLength: 200 }),
      (capacity, count, steps) => {
        const at = agedPlace(capacity, count);
        const writer = new RingWriter(at);
        const reader = new RingReader(at);
        const expected: { readonly bytes: Uint8Array; readonly tag: number }[] = [];
        steps.forEach((one, seed) => {
          if (one === 'take') {
            const first = expected.shift();
            if (first === undefined) assert.equal(reader.peekLength(), -1);
            else assert.deepEqual(takeOne(reader), first);
            return;
          }
          const bytes = bytesOf(one.put % (writer.frameBytesMax + 1), seed);
          if (writer.tryWrite(bytes, one.tag)) expected.push({ bytes, tag: one.tag });
          else assert.ok(expected.length > 0, 'an empty ring refused a frame');
          assert.equal(reader.depthBytes, writer.depthBytes);
          assert.ok(writer.depthBytes <= capacity);
        });
        for (const frame of expected) assert.deepEqual(takeOne(reader), frame);
        assert.equal(writer.depthBytes, 0);
      },
    ),
  );
});
