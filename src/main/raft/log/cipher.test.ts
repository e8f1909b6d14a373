import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cipher, newDataKey, SealError } from './cipher.ts';

const NONCE = [4, 16] as const;

test('what is sealed opens, whether or not it was prepared for', () => {
  const cipher = new Cipher(newDataKey());
  for (let i = 0; i < 8; i += 1) {
    if (i % 4 < 2) cipher.prepare();
    const plain = Buffer.alloc(100 * i, i);
    const sealed = cipher.seal(`entry/${i}`, plain);
    assert.deepEqual(cipher.open(`entry/${i}`, sealed), plain);
    assert.throws(() => cipher.open(`entry/${i + 1}`, sealed), SealError);
  }
});

test('no two records have the same nonce', () => {
  const cipher = new Cipher(newDataKey());
  const nonces = new Set<string>();
  for (let i = 0; i < 1000; i += 1) {
    if (i % 3 === 0) cipher.prepare();
    nonces.add(cipher.seal('entry/1', Buffer.alloc(1)).toString('hex', ...NONCE));
  }
  assert.equal(nonces.size, 1000);
});

test('another key seals all that comes after it, prepared or not', () => {
  const cipher = new Cipher(newDataKey());
  cipher.prepare();
  const key = newDataKey();
  cipher.use(key);
  const sealed = cipher.seal('entry/1', Buffer.from('a'));
  assert.ok(cipher.isCurrent(sealed));
  assert.equal(new Cipher(key).open('entry/1', sealed).toString(), 'a');
});
