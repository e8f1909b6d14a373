import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FrameReader, FrameWriter } from './frames.ts';
import { LaneError } from './lane-error.ts';
import { ringMemoryBytes, RingReader, RingWriter, type RingPlace } from './ring.ts';

const CAPACITY = 64;

function openFrames(frameBytesMax: number): { writer: FrameWriter; reader: FrameReader } {
  const at: RingPlace = {
    memory: new SharedArrayBuffer(ringMemoryBytes(CAPACITY)),
    offsetBytes: 0,
    capacityBytes: CAPACITY,
  };
  return {
    writer: new FrameWriter(new RingWriter(at)),
    reader: new FrameReader(new RingReader(at), frameBytesMax),
  };
}

function bytesOf(length: number, seed: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 0xff);
}

const EDGE_SIZES = [0, 1, 27, 28, 29, CAPACITY - 1, CAPACITY, CAPACITY + 1, 10 * CAPACITY + 3];

test('a frame of any size passes, in parts where it must', () => {
  const { writer, reader } = openFrames(4096);
  for (const size of EDGE_SIZES) {
    const frame = bytesOf(size, size);
    let offset: number | undefined = 0;
    let got: Uint8Array | undefined;
    for (let turns = 0; got === undefined; turns++) {
      assert.ok(turns < 100, `no progress with a frame of ${size} bytes`);
      if (offset !== undefined) {
        assert.ok(writer.canWrite(frame, offset));
        offset = writer.write(frame, offset, 2);
      }
      const read = reader.read();
      if (read === undefined) continue;
      assert.equal(read.tag, 2);
      got = read.bytes;
    }
    assert.equal(offset, undefined);
    assert.deepEqual(new Uint8Array(got), frame);
  }
});

test('property: frames of all sizes stay whole and in order under any interleaving', () => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...EDGE_SIZES), fc.nat(300)), { maxLength: 30 }),
      fc.infiniteStream(fc.boolean()),
      (sizes, coins) => {
        const { writer, reader } = openFrames(4096);
        const frames = sizes.map(bytesOf);
        const got: Uint8Array[] = [];
        let writing = 0;
        let offset: number | undefined = 0;
        for (let turns = 0; got.length < frames.length; turns++) {
          assert.ok(turns < 20_000, 'no progress');
          const frame = frames[writing];
          if (frame !== undefined && coins.next().value === true) {
            const before: number = offset ?? 0;
            const could = writer.canWrite(frame, before);
            offset = writer.write(frame, before, 0);
            assert.equal(could, offset === undefined || offset > before);
            if (offset === undefined) {
              writing += 1;
              offset = 0;
            }
          } else {
            const read = reader.read();
            if (read !== undefined) got.push(Uint8Array.from(read.bytes));
          }
        }
        assert.deepEqual(got, frames);
      },
    ),
  );
});

test('a frame above the maximum is an error, not a hoard', () => {
  const { writer, reader } = openFrames(100);
  const frame = bytesOf(200, 1);
  let offset = writer.write(frame, 0, 0);
  assert.throws(
    () => {
      for (let turns = 0; turns < 100 && offset !== undefined; turns++) {
        reader.read();
        offset = writer.write(frame, offset, 0);
      }
      reader.read();
    },
    (error) => error instanceof LaneError && error.code === 'FRAME_TOO_LONG',
  );
});
