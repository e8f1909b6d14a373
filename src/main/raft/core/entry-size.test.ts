import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Entry } from '../../../shared/wire/gen/raftpb.ts';
import { encodedBytes, limitBytes, payloadBytes } from './entry-size.ts';

const number = fc.oneof(fc.nat(300), fc.maxSafeNat());
const anyEntry = fc.record({
  type: fc.constantFrom(0 as const, 1 as const),
  term: number,
  index: number,
  data: fc.option(fc.uint8Array({ maxLength: 200 }), { nil: undefined }),
});

test('[RAFT44] the encoded size is the length of the encoding', () => {
  fc.assert(
    fc.property(anyEntry, (entry) => {
      assert.equal(encodedBytes(entry), Entry.encode(entry).length);
    }),
  );
});

test('[RAFT44] the payload is the data alone', () => {
  fc.assert(
    fc.property(fc.array(anyEntry), (entries) => {
      const bytes = Buffer.concat(entries.map(({ data }) => data ?? new Uint8Array()));
      assert.equal(payloadBytes(entries), bytes.length);
    }),
  );
});

test('[RAFT22] a limit cuts to the longest prefix that fits, but never to nothing', () => {
  fc.assert(
    fc.property(fc.array(anyEntry), fc.nat(500), (entries, bytesMax) => {
      const sizes = entries.map((_, at) => Entry.encode(entries[at]!).length);
      const sizeOf = (count: number): number => sizes.slice(0, count).reduce((a, b) => a + b, 0);
      const fits = sizes.filter((_, at) => sizeOf(at + 1) <= bytesMax).length;
      const expected = Math.min(entries.length, Math.max(1, fits));
      assert.deepEqual(limitBytes(entries, bytesMax), entries.slice(0, expected));
    }),
  );
});
