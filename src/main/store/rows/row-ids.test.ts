import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RowIds } from './row-ids.ts';
import { RowPages } from './row-pages.ts';

const byNumber = (a: number, b: number): number => a - b;

const id = fc.oneof(
  // Few shards and many of one beginning, so that places collide and are closed again.
  fc.nat({ max: 60 }).map((n) => `ab${n}`),
  fc.string({ unit: fc.constantFrom('a', 'b', '\u007e', '\u007f', 'ö', '漢'), maxLength: 4 }),
  fc.string({ unit: 'binary', maxLength: 3 }),
);

test('rows are found by id and by its beginning, as in a plain map', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(id, fc.boolean()), { maxLength: 200 }),
      fc.array(id, { maxLength: 10 }),
      (writes, prefixes) => {
        const rows = new RowPages();
        const ids = new RowIds(rows);
        const twin = new Map<string, number>();
        for (const [name, keep] of writes) {
          const known = twin.get(name);
          assert.equal(ids.get(name), known ?? 0);
          if (keep && known === undefined) {
            const row = rows.take(name);
            ids.add(row);
            twin.set(name, row);
          } else if (!keep && known !== undefined) {
            ids.remove(known);
            rows.give(known);
            twin.delete(name);
          }
          assert.equal(ids.get(name), twin.get(name) ?? 0);
        }
        for (const [name] of writes) assert.equal(ids.get(name), twin.get(name) ?? 0);
        for (const prefix of ['', ...prefixes]) {
          const wanted = [...twin].filter(([name]) => name.startsWith(prefix)).map(([, n]) => n);
          const found = [...ids.withPrefix(prefix)];
          assert.deepEqual(found.toSorted(byNumber), wanted.toSorted(byNumber));
        }
        const beginnings = new Set([...twin.keys()].map((name) => name.slice(0, 2)));
        assert.deepEqual(new Set(ids.beginnings()), beginnings);
      },
    ),
    { numRuns: 300 },
  );
});

test('a second row of an id is refused, as is removing a row that is not there', () => {
  const rows = new RowPages();
  const ids = new RowIds(rows);
  const [one, two, other] = [rows.take('a'), rows.take('a'), rows.take('b')];
  ids.add(one);
  assert.throws(() => ids.add(two), /a second row of a/);
  assert.throws(() => ids.remove(two), /is not there/);
  assert.throws(() => ids.remove(other), /is not there/);
  assert.equal(ids.get('a'), one);
});
