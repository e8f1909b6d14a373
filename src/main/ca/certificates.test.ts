/** Certificates as Go, OpenSSL and node:tls judge them, and requests that lie. */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Role } from '../rpc/authorise.ts';
import {
  CertificateError,
  certificateRequest,
  newKey,
  parseRequest,
  selfSigned,
} from './certificates.ts';
import {
  checkKeyMatches,
  issuerInfo,
  parseCertificates,
  subjectField,
  validity,
  verifyChain,
} from './chains.ts';
import { formatPem, parsePem } from './core/pem.ts';
import { CA_LIMITS, RootCa, SignerMissingError } from './root.ts';

const HOUR_MS = 3_600_000;
const nowMs = Date.UTC(2030, 0, 15, 12, 34, 56, 789);
const name = { nodeId: 'node1', organization: 'cluster1', role: Role.MANAGER };

const root = await RootCa.create(nowMs);
const keyPem = await newKey();
const csr = certificateRequest(keyPem);
const issue = (role: Role = Role.MANAGER, expiryMs = 0): string =>
  root.issue(csr, { ...name, role }, { nowMs, expiryMs });

const pem = (key: { export(options: { type: 'pkcs8'; format: 'pem' }): string | Buffer }): string =>
  key.export({ type: 'pkcs8', format: 'pem' }).toString();
const ecKey = (namedCurve: string): string =>
  pem(generateKeyPairSync('ec', { namedCurve }).privateKey);
const rsaKey = (modulusLength: number): string =>
  pem(generateKeyPairSync('rsa', { modulusLength }).privateKey);

const refuses = (text: string | RegExp) => (error: unknown) => {
  assert.ok(error instanceof CertificateError, String(error));
  if (typeof text === 'string') assert.equal(error.message, text);
  else assert.match(error.message, text);
  return true;
};

test('a root is self-signed, may sign, and lives twenty years', () => {
  const certificate = new X509Certificate(root.certificatePem);
  assert.ok(certificate.ca);
  assert.equal(certificate.subject, 'CN=swarm-ca');
  assert.ok(certificate.verify(certificate.publicKey));
  const { notBeforeMs, notAfterMs } = validity(certificate);
  assert.ok(Math.abs(notBeforeMs - (nowMs - 300_000)) < 1000);
  assert.equal(notAfterMs - notBeforeMs, CA_LIMITS.rootValidityMs);
});

test('a node certificate carries who the node is, and nothing that the request asked for', () => {
  for (const [role, names] of [
    [Role.MANAGER, 'DNS:swarm-manager, DNS:node1, DNS:swarm-ca'],
    [Role.WORKER, 'DNS:swarm-worker, DNS:node1'],
  ] as const) {
    const certificate = new X509Certificate(issue(role));
    assert.equal(certificate.subject, `O=cluster1\nOU=${role}\nCN=node1`);
    assert.equal(certificate.subjectAltName, names);
    assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2']);
    assert.ok(!certificate.ca);
    const serial = BigInt(`0x${certificate.serialNumber}`);
    assert.ok(serial > 0n && serial < 2n ** 159n);
    assert.deepEqual(subjectField(certificate, 'O'), ['cluster1']);
  }
});

test('a node certificate lives as asked, an hour back; less than an hour counts as the default', () => {
  for (const [expiryMs, hours] of [
    [HOUR_MS, 1],
    [100 * HOUR_MS, 100],
    [HOUR_MS - 1, 2160],
    [0, 2160],
    [-5, 2160],
  ] as const) {
    const { notBeforeMs, notAfterMs } = validity(new X509Certificate(issue(Role.WORKER, expiryMs)));
    assert.equal(notBeforeMs, Date.UTC(2030, 0, 15, 11, 35));
    assert.equal(notAfterMs - notBeforeMs, (hours + 1) * HOUR_MS);
  }
});

test('roots and requests of every supported kind of key work, others are refused', () => {
  const valid = { notBeforeMs: nowMs - HOUR_MS, notAfterMs: nowMs + 10_000 * HOUR_MS };
  for (const key of [ecKey('P-256'), ecKey('P-384'), ecKey('P-521'), rsaKey(2048)]) {
    const ca = RootCa.parse(selfSigned(key, 'swarm-ca', valid), key);
    const certificate = ca.issue(certificateRequest(key), name, { nowMs, expiryMs: 0 });
    const chain = parseCertificates(certificate);
    assert.equal(ca.verify(chain, nowMs), ca.roots[0]);
    checkKeyMatches(chain[0] ?? assert.fail(), key);
  }
  assert.throws(() => certificateRequest(rsaKey(1024)), refuses('unsupported RSA key parameters'));
  const other = pem(generateKeyPairSync('ed25519').privateKey);
  assert.throws(() => certificateRequest(other), refuses('unsupported ECDSA key parameters'));
});

test('a root without its key, or with another’s, does not sign', async () => {
  const keyless = RootCa.parse(root.certificatePem);
  assert.throws(() => keyless.issue(csr, name, { nowMs, expiryMs: 0 }), SignerMissingError);
  const key = await newKey();
  assert.throws(() => RootCa.parse(root.certificatePem, key), refuses('certificate key mismatch'));
  assert.throws(() => RootCa.parse(root.certificatePem, 'x'), refuses(/cannot be read/));
  assert.throws(() => RootCa.parse('x'), refuses('no certificate found in the PEM text'));
  const bad = formatPem('CERTIFICATE', Uint8Array.of(1, 2, 3));
  assert.throws(() => RootCa.parse(bad), refuses('a certificate cannot be read'));
});

test('a chain must end in the root, by certificates that may sign, in their time', async () => {
  const leaf = parseCertificates(issue());
  assert.equal(root.verify(leaf, nowMs), root.roots[0]);
  const other = await RootCa.create(nowMs);
  assert.throws(
    () => other.verify(leaf, nowMs),
    refuses('certificate signed by unknown authority'),
  );
  assert.throws(
    () => root.verify(leaf, nowMs + 3000 * HOUR_MS),
    refuses(/is not valid at 2030-05/),
  );
  assert.throws(() => root.verify(leaf, nowMs - 2 * HOUR_MS), refuses(/is not valid at/));
  // A node's certificate signs nothing.
  const fake = new RootCaOf(leaf[0] ?? assert.fail());
  const forged = parseCertificates(fake.issue());
  const chain = [...forged, ...leaf];
  assert.throws(() => verifyChain(chain, root.roots, nowMs), refuses(/unknown authority/));
});

/** A node that plays CA with its own certificate. */
class RootCaOf {
  readonly #certificate: X509Certificate;

  constructor(certificate: X509Certificate) {
    this.#certificate = certificate;
  }

  issue(): string {
    return RootCa.parse(this.#certificate.toString(), keyPem).issue(csr, name, {
      nowMs,
      expiryMs: 0,
    });
  }
}

test('issuer and key are told as the exact bytes of the root', () => {
  const [leaf = assert.fail()] = parseCertificates(issue());
  const [ca = assert.fail()] = root.roots;
  const { subject, publicKey } = issuerInfo(leaf, ca);
  assert.ok(Buffer.from(ca.raw).includes(subject));
  assert.deepEqual(
    Buffer.from(publicKey),
    Buffer.from(ca.publicKey.export({ type: 'spki', format: 'der' })),
  );
});

test('a request must be PEM, whole, and signed by the key that it names', async () => {
  assert.doesNotThrow(() => parseRequest(csr));
  for (const text of ['', 'x', issue(), formatPem('CERTIFICATE REQUEST', Uint8Array.of(1))]) {
    assert.throws(() => parseRequest(text), CertificateError);
  }
  // Somebody else's key in a signed request: the signature no longer fits.
  const [mine] = parsePem(csr);
  const [theirs] = parsePem(certificateRequest(await newKey()));
  assert.ok(mine && theirs);
  const forged = Buffer.from(mine.der);
  const spki = theirs.der.indexOf(0x04, 30); // the point behind the curve
  forged.set(theirs.der.subarray(spki, spki + 20), spki);
  assert.throws(() => parseRequest(formatPem('CERTIFICATE REQUEST', forged)), CertificateError);
});

test('no damage to a request makes it another request, and none is more than refused', () => {
  const [block] = parsePem(csr);
  const whole = block?.der ?? assert.fail();
  const genuine = parseRequest(csr).export({ type: 'spki', format: 'der' });
  const damage = fc.record({ at: fc.nat(whole.length - 1), to: fc.integer({ min: 0, max: 255 }) });
  fc.assert(
    fc.property(fc.array(damage, { minLength: 1, maxLength: 3 }), (damages) => {
      const bytes = Buffer.from(whole);
      for (const { at, to } of damages) bytes[at] = to;
      try {
        const key = parseRequest(formatPem('CERTIFICATE REQUEST', bytes));
        assert.deepEqual(key.export({ type: 'spki', format: 'der' }), genuine);
      } catch (error) {
        assert.ok(error instanceof CertificateError, String(error));
      }
    }),
    { numRuns: 500 },
  );
});

const hasOpenssl = spawnSync('openssl', ['version']).status === 0;

describe('as OpenSSL sees it', { skip: hasOpenssl ? false : 'openssl is not installed' }, () => {
  test('strictly valid for servers and clients by every name, and a proper request', (t) => {
    const directory = mkdtempSync(join(tmpdir(), 'skein-openssl-'));
    t.after(() => rmSync(directory, { recursive: true }));
    const file = (base: string, text: string): string => {
      writeFileSync(join(directory, base), text);
      return join(directory, base);
    };
    const [ca, leaf] = [file('root.pem', root.certificatePem), file('leaf.pem', issue())];
    const at = ['-attime', String(Math.floor(nowMs / 1000))];
    for (const purpose of [
      ['sslserver', '-verify_hostname', 'swarm-manager'],
      ['sslserver', '-verify_hostname', 'swarm-ca'],
      ['sslserver', '-verify_hostname', 'node1'],
      ['sslclient'],
    ]) {
      execFileSync('openssl', [
        'verify',
        '-x509_strict',
        ...at,
        '-CAfile',
        ca,
        '-purpose',
        ...purpose,
        leaf,
      ]);
    }
    const request = ['req', '-in', file('node.csr', csr), '-verify', '-noout', '-subject'];
    const said = spawnSync('openssl', request, { encoding: 'utf8' });
    assert.match(said.stdout + said.stderr, /verify OK/);
    assert.match(said.stdout, /^subject=\s*$/m);
  });
});
