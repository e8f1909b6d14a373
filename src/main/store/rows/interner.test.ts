import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Interner } from './interner.ts';

test('a string has one number as long as somebody holds it', () => {
  const strings = new Interner();
  const a = strings.add('ab ö');
  assert.equal(strings.add('ab ö'), a);
  assert.equal(strings.text(a), 'ab ö');
  assert.equal(strings.byteLength(a), 5);
  assert.equal(strings.find('ab ö'), a);
  strings.hold(a);
  for (let n = 0; n < 3; n += 1) {
    assert.equal(strings.find('ab ö'), a);
    strings.release(a);
  }
  assert.equal(strings.find('ab ö'), undefined);
  assert.equal(strings.size, 0);
  assert.throws(() => strings.release(a), /too often/);
});

test('numbers are used again, and a string that went is not confused with its follower', () => {
  const strings = new Interner();
  const a = strings.add('first');
  strings.release(a);
  const b = strings.add('second');
  assert.equal(b, a);
  const c = strings.add('first');
  assert.notEqual(c, b);
  assert.deepEqual([strings.text(b), strings.text(c)], ['second', 'first']);
});

test('the empty string is nobody’s', () => {
  const strings = new Interner();
  assert.equal(strings.add(''), 0);
  strings.hold(0);
  strings.release(0);
  strings.release(0);
  assert.equal(strings.find(''), 0);
  assert.equal(strings.text(0), '');
  assert.equal(strings.size, 0);
});
