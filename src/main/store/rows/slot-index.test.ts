import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../../shared/kit/random.ts';
import { FLOAT, RowPages, WORD } from './row-pages.ts';
import { SlotIndex } from './slot-index.ts';

test('rows are found by service and slot while the table grows and shrinks', () => {
  const random = new Random(42n);
  const rows = new RowPages();
  const index = new SlotIndex(rows);
  const twin = new Map<number, { service: number; slot: number }>();
  const add = (): void => {
    const row = rows.take('id');
    const service = random.below(5);
    const slot = random.below(4) === 0 ? 2 ** 40 + random.below(9) : random.below(3000);
    rows.set(row, WORD.service, service);
    rows.setFloat(row, FLOAT.slot, slot);
    index.add(row);
    twin.set(row, { service, slot });
  };
  const remove = (row: number): void => {
    index.remove(row);
    rows.give(row);
    twin.delete(row);
  };
  for (let n = 0; n < 4000; n += 1) add();
  for (const row of twin.keys()) if (random.below(3) > 0) remove(row);
  for (let n = 0; n < 2000; n += 1) add();
  let longest = 0;
  for (const [row, { service, slot }] of twin) {
    const chain: number[] = [];
    for (let at = index.first(service, slot); at !== 0; at = index.next(at)) chain.push(at);
    assert.equal(chain.includes(row), slot !== 0);
    longest = Math.max(longest, new Set(chain).size);
    assert.equal(new Set(chain).size, chain.length);
  }
  assert.ok(longest < 400, `a chain of ${longest}`);
  for (const row of twin.keys()) remove(row);
  assert.equal(rows.live, 0);
  for (let slot = 0; slot < 3000; slot += 1) assert.equal(index.first(1, slot), 0);
});
