import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FLOAT, PLACE, RowPages, WORD } from './row-pages.ts';

test('contents are copied and exchanged, places and links are not', () => {
  const rows = new RowPages();
  const a = rows.take('a');
  const b = rows.take('b');
  assert.ok(a !== 0 && b !== 0);
  for (const [row, value] of [
    [a, 1],
    [b, 2],
  ] as const) {
    for (const word of [WORD.createdNanos, WORD.state, WORD.runtime]) rows.set(row, word, value);
    for (const float of Object.values(FLOAT)) rows.setFloat(row, float, value / 4);
    rows.set(row, WORD.nodeLinks, value);
  }
  const before = rows.get(a, WORD.generation);
  rows.swapContents(a, b);
  assert.deepEqual(
    [WORD.createdNanos, WORD.state, WORD.runtime, WORD.nodeLinks].map((word) => rows.get(a, word)),
    [2, 2, 2, 1],
  );
  assert.ok(Object.values(FLOAT).every((float) => rows.getFloat(a, float) === 0.5));
  assert.equal(rows.get(a, WORD.generation), before + 1);
  rows.copyContent(b, a);
  assert.equal(rows.get(a, WORD.runtime), 1);
  assert.equal(rows.id(a), 'a');
});

test('words and floats of a row do not overlap, nor do rows', () => {
  const words = Object.values(WORD).flatMap((word) =>
    word >= WORD.serviceLinks && word <= WORD.sharedLinks ? [word, word + 1] : [word],
  );
  const floats = Object.values(FLOAT).flatMap((float) => [float * 2, float * 2 + 1]);
  const all = [...words, ...floats];
  assert.equal(new Set(all).size, all.length);
  const rows = new RowPages();
  const last = Math.max(...all);
  const numbers = Array.from({ length: 5000 }, (_, n) => rows.take(String(n)));
  for (const row of numbers) {
    rows.set(row, last, row);
    rows.set(row, 0, -row);
  }
  for (const row of numbers) {
    assert.deepEqual([rows.get(row, last), rows.get(row, 0)], [row, -row]);
  }
});

test('pages come and go with their rows', () => {
  const rows = new RowPages();
  const numbers = Array.from({ length: 20_000 }, () => rows.take('x'));
  assert.equal(rows.live, 20_000);
  assert.deepEqual(
    [...rows.inPlace(PLACE.loose)].toSorted((a, b) => a - b),
    numbers,
  );
  const peak = rows.allocatedBytes;
  for (const row of numbers) rows.give(row);
  assert.equal(rows.live, 0);
  assert.ok(rows.allocatedBytes <= peak / 4, `${rows.allocatedBytes} of ${peak}`);
  assert.deepEqual([...rows.inPlace(PLACE.loose)], []);
  const again = Array.from({ length: 20_000 }, () => rows.take('y'));
  assert.ok(rows.allocatedBytes <= peak);
  assert.equal(new Set(again).size, 20_000);
  assert.throws(() => {
    rows.set(again[0]!, WORD.place, PLACE.committed);
    rows.give(again[0]!);
  }, /still in a set/);
});
