import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { PrefixMap } from './prefix-map.ts';

const key = fc.oneof(
  fc.string({ unit: fc.constantFrom('a', 'b', '\u007e', '\u007f', 'ö', '漢'), maxLength: 4 }),
  fc.string({ unit: 'binary', maxLength: 3 }),
);

test('it is a map that also knows prefixes', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(key, fc.boolean())),
      fc.array(key, { maxLength: 10 }),
      (writes, prefixes) => {
        const map = new PrefixMap<number>();
        const twin = new Map<string, number>();
        for (const [n, [name, keep]] of writes.entries()) {
          if (keep) {
            map.set(name, n);
            twin.set(name, n);
          } else {
            assert.equal(map.delete(name), twin.delete(name));
          }
        }
        assert.equal(map.size, twin.size);
        for (const [name] of writes) assert.equal(map.get(name), twin.get(name));
        assert.deepEqual(new Set(map.values()), new Set(twin.values()));
        for (const prefix of ['', ...prefixes]) {
          const wanted = [...twin].filter(([name]) => name.startsWith(prefix)).map(([, n]) => n);
          assert.deepEqual(new Set(map.withPrefix(prefix)), new Set(wanted));
        }
        const beginnings = new Set([...twin.keys()].map((name) => name.slice(0, 2)));
        assert.deepEqual(new Set(map.beginnings()), beginnings);
        map.clear();
        assert.deepEqual([map.size, ...map.values()], [0]);
      },
    ),
  );
});
