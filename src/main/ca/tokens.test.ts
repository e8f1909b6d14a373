import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  newJoinToken,
  parseJoinToken,
  rootHash,
  sameToken,
  TokenError,
  tokenDigest,
} from './tokens.ts';

const digits = (count: number): fc.Arbitrary<string> =>
  fc.stringMatching(new RegExp(`^[0-9a-z]{${count}}$`));

test('tokens of both versions are read back', () => {
  fc.assert(
    fc.property(digits(50), digits(25), (digest, secret) => {
      assert.deepEqual(parseJoinToken(`SWMTKN-1-${digest}-${secret}`), {
        digest,
        secret,
        fips: false,
      });
      assert.deepEqual(parseJoinToken(`SWMTKN-2-0-${digest}-${secret}`), {
        digest,
        secret,
        fips: false,
      });
      assert.deepEqual(parseJoinToken(`SWMTKN-2-1-${digest}-${secret}`), {
        digest,
        secret,
        fips: true,
      });
    }),
  );
});

test('a new token carries the root’s digest and a secret of its own', () => {
  const [one, two] = [newJoinToken('root'), newJoinToken('root')];
  assert.match(one, /^SWMTKN-1-[0-9a-z]{50}-[0-9a-z]{25}$/);
  assert.equal(parseJoinToken(one).digest, tokenDigest('root'));
  assert.notEqual(one, two);
  assert.match(newJoinToken('root', true), /^SWMTKN-2-1-/);
  // One more line end is another root.
  assert.notEqual(tokenDigest('root\n'), tokenDigest('root'));
});

test('the digest of a known text is the known one', () => {
  // sha256("abc")
  const hex = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
  assert.equal(rootHash('abc'), `sha256:${hex}`);
  assert.equal(tokenDigest('abc'), BigInt(`0x${hex}`).toString(36).padStart(50, '0'));
});

test('anything else is refused', () => {
  const [d, s] = ['0'.repeat(50), '0'.repeat(25)];
  for (const text of [
    '',
    'SWMTKN',
    `SWMTKN-1-${d}`,
    `SWMTKN-1-${d}-${s}-`,
    `SWMTKN-1-${d}0-${s}`,
    `SWMTKN-1-${d}-${s}0`,
    `SWMTKN-1-${d.toUpperCase().replaceAll('0', 'A')}-${s}`,
    `SWMTKN-2-${d}-${s}`,
    `SWMTKN-2-2-${d}-${s}`,
    `SWMTKN-3-${d}-${s}`,
    `swmtkn-1-${d}-${s}`,
    ` SWMTKN-1-${d}-${s}`,
    `SWMTKN-1-${d}-${s}\n`,
  ]) {
    assert.throws(() => parseJoinToken(text), TokenError, text);
  }
  fc.assert(
    fc.property(fc.string(), (text) => {
      assert.throws(() => parseJoinToken(text), new TokenError());
    }),
  );
});

test('a token is only like itself, and an empty one like none', () => {
  assert.ok(sameToken('a', 'a'));
  assert.ok(!sameToken('a', 'b'));
  assert.ok(!sameToken('a', 'aa'));
  assert.ok(!sameToken('', ''));
});
