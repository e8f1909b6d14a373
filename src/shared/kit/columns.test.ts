/** Growing columns keep what they hold and fill the rest. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { grownFloat64, grownInt32, grownUint8, Int32List, largest } from './columns.ts';

test('a column with room is given back as it is', () => {
  const column = new Int32Array(4);
  assert.equal(grownInt32(column, 3), column);
  const bytes = new Uint8Array(1);
  assert.equal(grownUint8(bytes, 0), bytes);
});

test('a grown column keeps its values and has the fill behind them', () => {
  const column = grownInt32(Int32Array.of(5, 6), 2, -1);
  assert.deepEqual(column.slice(0, 4), Int32Array.of(5, 6, -1, -1));
  assert.ok(column.length >= 64);
  // A quarter more than was asked for.
  assert.equal(grownInt32(column, 10_000).length, 12_501);
  assert.equal(grownInt32(new Int32Array(100), 100).length, 200);
  assert.deepEqual(grownUint8(Uint8Array.of(7), 1).slice(0, 2), Uint8Array.of(7, 0));
  const large = Float64Array.of(2 ** 40);
  assert.deepEqual(grownFloat64(large, 1).slice(0, 2), Float64Array.of(2 ** 40, 0));
});

test('a list holds what was pushed, and gives copies', () => {
  const list = new Int32List();
  for (let value = 0; value < 200; value++) list.push(value);
  assert.equal(list.length, 200);
  assert.equal(list.at(199), 199);
  const copy = list.copy();
  list.clear();
  assert.equal(list.length, 0);
  assert.deepEqual(
    [...copy],
    Array.from({ length: 200 }, (_, value) => value),
  );
});

test('a list appends another, however much room either has', () => {
  const list = new Int32List();
  const more = new Int32List();
  list.append(more);
  assert.equal(list.length, 0);
  for (let value = 0; value < 100; value++) more.push(value);
  list.reserve(10);
  list.push(-1);
  list.append(more);
  list.append(more);
  const values = Array.from({ length: 100 }, (_, value) => value);
  assert.deepEqual([...list.copy()], [-1, ...values, ...values]);
});

test('the largest number of a column says up to where others reach', () => {
  assert.equal(largest(Int32Array.of(3, 9, -2)), 9);
  assert.equal(largest(Int32Array.of(-7)), -1);
  assert.equal(largest(new Int32Array(0)), -1);
});

test('what a list is extended by is written by its owner', () => {
  const list = new Int32List();
  list.push(1);
  assert.equal(list.extend(100), 1);
  for (let i = 0; i < 100; i++) list.values[1 + i] = 2 + i;
  assert.deepEqual(
    [...list.copy()],
    Array.from({ length: 101 }, (_, i) => 1 + i),
  );
});
