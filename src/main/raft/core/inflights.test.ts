import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Inflights } from './inflights.ts';

test('[RAFT18] inflights are full at either limit, as in a twin that keeps a plain list', () => {
  const limits = fc.record({
    messagesMax: fc.integer({ min: 1, max: 6 }),
    bytesMax: fc.constantFrom(0, 10, 30),
  });
  const steps = fc.array(
    fc.record({ free: fc.boolean(), by: fc.integer({ min: 1, max: 4 }), bytes: fc.nat(12) }),
  );
  fc.assert(
    fc.property(limits, steps, ({ messagesMax, bytesMax }, script) => {
      const inflights = new Inflights({ messagesMax, bytesMax });
      let list: { index: number; bytes: number }[] = [];
      let last = 0;
      for (const { free, by, bytes } of script) {
        if (free) {
          const upTo = (list[0]?.index ?? 0) + by - 1;
          inflights.freeTo(upTo);
          list = list.filter(({ index }) => index > upTo);
        } else if (!inflights.full) {
          last += by;
          inflights.add(last, bytes);
          list.push({ index: last, bytes });
        }
        const sum = list.reduce((total, one) => total + one.bytes, 0);
        assert.equal(inflights.count, list.length);
        const full = list.length >= messagesMax || (bytesMax > 0 && sum >= bytesMax);
        assert.equal(inflights.full, full);
      }
    }),
  );
});

test('[RAFT18] nothing may be sent past the limit, and a reset forgets everything', () => {
  const inflights = new Inflights({ messagesMax: 1, bytesMax: 0 });
  inflights.add(5, 100);
  assert.throws(() => inflights.add(6, 1), /inflight limit/);
  inflights.reset();
  assert.equal(inflights.count, 0);
  inflights.add(6, 1);
});
