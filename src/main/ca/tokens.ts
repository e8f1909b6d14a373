/** Join tokens: what a new node needs to trust a cluster and to be let in (behaviour rule 4.3). */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { base36, bigEndian } from '../../shared/kit/base36.ts';

const DIGEST_DIGITS = 50;
const SECRET_DIGITS = 25;
const SECRET_BYTES = 16;

/** The parts of a join token. */
export type JoinToken = {
  /** 50 base-36 digits of the root's digest. */
  readonly digest: string;
  /** 25 base-36 digits. */
  readonly secret: string;
  /** The cluster accepts only nodes with FIPS-validated cryptography. */
  readonly fips: boolean;
};

/** The text is no join token. */
export class TokenError extends Error {
  override readonly name = 'TokenError';

  constructor() {
    super('invalid join token');
  }
}

const sha256 = (text: string): Buffer => createHash('sha256').update(text).digest();

/** A root's digest as tokens carry it: over the exact bytes of the PEM bundle. */
export function tokenDigest(rootPem: string): string {
  return base36(bigEndian(sha256(rootPem)), DIGEST_DIGITS);
}

/** A root's digest as the cluster object carries it: `sha256:<hex>`. */
export function rootHash(rootPem: string): string {
  return `sha256:${sha256(rootPem).toString('hex')}`;
}

/** A fresh join token for the cluster of this root. */
export function newJoinToken(rootPem: string, fips = false): string {
  const secret = base36(bigEndian(randomBytes(SECRET_BYTES)), SECRET_DIGITS);
  return `SWMTKN-${fips ? '2-1' : '1'}-${tokenDigest(rootPem)}-${secret}`;
}

/** The digest and secret that stand behind a token's version, which says how many parts there are. */
function tailOf(version: string | undefined, rest: readonly string[]): readonly string[] {
  if (version === '1') return rest;
  if (version === '2' && (rest[0] === '0' || rest[0] === '1')) return rest.slice(1);
  throw new TokenError();
}

/** @throws TokenError when `text` is no join token. */
export function parseJoinToken(text: string): JoinToken {
  const [prefix, version, ...rest] = text.split('-');
  if (prefix !== 'SWMTKN') throw new TokenError();
  const [digest, secret, extra] = tailOf(version, rest);
  const wellFormed =
    extra === undefined &&
    /^[0-9a-z]+$/.test(`${digest}${secret}`) &&
    digest?.length === DIGEST_DIGITS &&
    secret?.length === SECRET_DIGITS;
  if (!wellFormed) throw new TokenError();
  return { digest, secret, fips: version === '2' && rest[0] === '1' };
}

/** A token's digest as hexadecimal text. */
export function digestHex(digest: string): string {
  let value = 0n;
  for (const digit of digest) value = value * 36n + BigInt(Number.parseInt(digit, 36));
  return value.toString(16).padStart(64, '0');
}

/** Whether two tokens are the same, in a time that does not tell where they differ. */
export function sameToken(given: string, wanted: string): boolean {
  return wanted !== '' && timingSafeEqual(sha256(given), sha256(wanted));
}
