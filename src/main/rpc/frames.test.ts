import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Code, RpcError } from './errors.ts';
import { frame, FrameReader } from './frames.ts';

test('messages come out whole, however their frames were cut', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }),
      (messages, cuts) => {
        const bytes = Buffer.concat(messages.map(frame));
        const reader = new FrameReader();
        const got: Buffer[] = [];
        for (let at = 0, step = 0; at < bytes.length; step += 1) {
          const size = cuts[step % cuts.length] ?? 1;
          for (const message of reader.push(bytes.subarray(at, at + size))) {
            got.push(Buffer.from(message));
          }
          at += size;
        }
        assert.deepEqual(
          got,
          messages.map((message) => Buffer.from(message)),
        );
        assert.equal(reader.partial, false);
      },
    ),
  );
});

test('part of a message is known to be missing', () => {
  const reader = new FrameReader();
  const whole = frame(Uint8Array.of(1, 2, 3));
  assert.deepEqual(reader.push(whole.subarray(0, 7)), []);
  assert.equal(reader.partial, true);
});

test('a compressed message is refused', () => {
  assert.throws(
    () => new FrameReader().push(Buffer.of(1, 0, 0, 0, 0)),
    (error) => error instanceof RpcError && error.code === Code.INTERNAL,
  );
});
