import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatPem, parsePem } from './pem.ts';

test('blocks are read as they were written, with their headers and among other text', () => {
  const name = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
  const value = fc.stringMatching(/^[A-Za-z0-9+/=]{1,20}$/);
  const block = fc.record({
    der: fc.uint8Array({ maxLength: 200 }),
    headers: fc.dictionary(name, value, { noNullPrototype: true }),
  });
  fc.assert(
    fc.property(fc.array(block, { maxLength: 4 }), (blocks) => {
      const text = blocks.map(({ der, headers }) => formatPem('PRIVATE KEY', der, headers));
      const parsed = parsePem(`first\n${text.join('between\n')}last`);
      assert.deepEqual(
        parsed.map(({ label, headers, der }) => ({ label, headers, der: Buffer.from(der) })),
        blocks.map(({ der, headers }) => ({
          label: 'PRIVATE KEY',
          headers,
          der: Buffer.from(der),
        })),
      );
    }),
  );
});

test('blocks that are broken are passed over', () => {
  for (const text of [
    '',
    '-----BEGIN X-----\n!!!!\n-----END X-----\n',
    '-----BEGIN X-----\nAAA\n-----END X-----\n',
    '-----BEGIN X-----\nAAAA\n-----END Y-----\n',
    '-----BEGIN X-----\nAAAA\n',
  ]) {
    assert.deepEqual(parsePem(text), []);
  }
  fc.assert(fc.property(fc.string({ maxLength: 200 }), (text) => void parsePem(text)));
});
