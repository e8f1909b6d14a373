import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { base36, bigEndian, idFrom } from './base36.ts';

/** As managers elsewhere make them: from the second digit of the number's text on. */
const asText = (random: Uint8Array): string =>
  base36(bigEndian(random.with(0, random[0]! | 0x80))).slice(1, 26);

test('every id has 25 lower-case base-36 characters, and different bytes give different ids', () => {
  const bytes = fc.uint8Array({ minLength: 17, maxLength: 17 });
  fc.assert(fc.property(bytes, (random) => assert.match(idFrom(random), /^[0-9a-z]{25}$/)));
  fc.assert(fc.property(bytes, (random) => assert.equal(idFrom(random), asText(random))));
  assert.notEqual(idFrom(new Uint8Array(17)), idFrom(new Uint8Array(17).fill(1)));
});

test('numbers are padded to their width and come back', () => {
  assert.equal(base36(0n, 5), '00000');
  assert.equal(base36(35n, 2), '0z');
  assert.equal(bigEndian(Uint8Array.of(1, 0)), 256n);
  assert.equal(bigEndian(new Uint8Array()), 0n);
});
