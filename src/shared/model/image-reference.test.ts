import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { formatImageReference, parseImageReference } from './image-reference.ts';

const DIGEST = `sha256:${'0123456789abcdef'.repeat(4)}`;

test('references are read as Docker reads them', () => {
  for (const [text, full] of [
    ['redis', 'docker.io/library/redis'],
    ['redis:7', 'docker.io/library/redis:7'],
    ['me/app', 'docker.io/me/app'],
    ['docker.io/redis', 'docker.io/library/redis'],
    ['index.docker.io/redis', 'docker.io/library/redis'],
    ['localhost/app', 'localhost/app'],
    ['registry:5000/a/b:latest', 'registry:5000/a/b:latest'],
    ['[::1]:5000/app', '[::1]:5000/app'],
    ['Upper/app', 'Upper/app'],
    [`redis@${DIGEST}`, `docker.io/library/redis@${DIGEST}`],
    [`redis:7@${DIGEST}`, `docker.io/library/redis:7@${DIGEST}`],
    ['a__b/c-_d', undefined],
    ['a__b/c--d.e', 'docker.io/a__b/c--d.e'],
    ['', undefined],
    [':', undefined],
    ['redis:', undefined],
    ['redis@', undefined],
    ['Redis', undefined],
    ['re dis', undefined],
    ['a//b', undefined],
    ['/redis', undefined],
    ['redis/', undefined],
    ['docker.io/', undefined],
    ['-a.b/redis', undefined],
    ['registry:port/app', undefined],
    [`redis:${'t'.repeat(129)}`, undefined],
    ['redis@sha256:abc', undefined],
    ['redis@md5:0123', undefined],
    ['redis@toString:0123', undefined],
    ['0'.repeat(64), undefined],
    ['0'.repeat(63), `docker.io/library/${'0'.repeat(63)}`],
    ['a'.repeat(256), undefined],
  ] as const) {
    const image = parseImageReference(text);
    assert.equal(image && formatImageReference(image), full, text);
  }
});

test('what was written in full is read as itself, and no text breaks the reader', () => {
  const parts = fc.constantFrom(
    'a',
    'B',
    '.',
    '_',
    '-',
    '/',
    ':',
    '@',
    '5',
    DIGEST,
    'x.y',
    '[::1]',
  );
  fc.assert(
    fc.property(fc.array(parts, { maxLength: 12 }), (chosen) => {
      const image = parseImageReference(chosen.join(''));
      if (image === undefined) return;
      assert.deepEqual(parseImageReference(formatImageReference(image)), image);
    }),
    { numRuns: 5000 },
  );
});
