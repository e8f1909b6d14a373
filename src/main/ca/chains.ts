/** Reading certificates and trusting them: bundles, keys that fit, chains that end in a root. */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { CertificateError, partsOf, SIGNATURES, signatureOid, spkiOf } from './certificates.ts';
import { parsePem } from './core/pem.ts';

const iso = (ms: number): string => new Date(ms).toISOString();

/**
 * The certificates of a PEM bundle, in its order.
 *
 * @throws CertificateError when there is none, or one cannot be read.
 */
export function parseCertificates(pem: string): readonly X509Certificate[] {
  const blocks = parsePem(pem).filter(({ label }) => label === 'CERTIFICATE');
  if (blocks.length === 0) throw new CertificateError('no certificate found in the PEM text');
  return blocks.map(({ der: bytes }) => {
    try {
      return new X509Certificate(bytes);
    } catch (error) {
      throw new CertificateError('a certificate cannot be read', { cause: error });
    }
  });
}

/**
 * Refuses certificates that may not be a cluster's root.
 *
 * @throws CertificateError in SwarmKit's words.
 */
export function checkRootAlgorithm(root: X509Certificate): void {
  const oid = partsOf(root).signatureOid;
  if (SIGNATURES[oid] === undefined) {
    throw new CertificateError(`unsupported signature algorithm: ${oid}`);
  }
  signatureOid(root.publicKey);
}

/** @throws CertificateError when the key is not the certificate's. */
export function checkKeyMatches(certificate: X509Certificate, keyPem: string): void {
  let matches = false;
  try {
    matches = certificate.checkPrivateKey(createPrivateKey(keyPem));
  } catch (error) {
    throw new CertificateError('the private key cannot be read', { cause: error });
  }
  if (!matches) throw new CertificateError('certificate key mismatch');
}

/** Issuer and key as node descriptions carry them (NodeTLSInfo): the exact DER bytes. */
export function issuerInfo(
  leaf: X509Certificate,
  issuer: X509Certificate,
): { readonly subject: Uint8Array; readonly publicKey: Uint8Array } {
  return { subject: partsOf(leaf).issuer, publicKey: spkiOf(issuer.publicKey) };
}

/** First and last moment of a certificate, in milliseconds since 1970. */
export function validity(certificate: X509Certificate): {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
} {
  return {
    notBeforeMs: certificate.validFromDate.getTime(),
    notAfterMs: certificate.validToDate.getTime(),
  };
}

/** The values of one field of a subject, e.g. `OU`. */
export function subjectField(certificate: X509Certificate, field: string): readonly string[] {
  return certificate.subject
    .split('\n')
    .filter((line) => line.startsWith(`${field}=`))
    .map((line) => line.slice(field.length + 1));
}

/** Whether `issuer` signed `certificate` and was allowed to. */
const issued = (certificate: X509Certificate, issuer: X509Certificate): boolean =>
  issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);

function isCurrent(certificate: X509Certificate, nowMs: number): boolean {
  const { notBeforeMs, notAfterMs } = validity(certificate);
  return notBeforeMs <= nowMs && nowMs <= notAfterMs;
}

const CHAIN_LENGTH_MAX = 8;

/**
 * The certificate that signed `chain`'s first, if a path over the rest of `chain` ends in `roots`.
 *
 * @throws CertificateError `certificate signed by unknown authority`, or why a time does not fit.
 */
export function verifyChain(
  chain: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  nowMs: number,
): X509Certificate {
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined) throw new CertificateError('no certificate to verify');
  if (!isCurrent(leaf, nowMs)) {
    throw new CertificateError(
      `certificate (${leaf.validFrom} - ${leaf.validTo}) is not valid at ${iso(nowMs)}`,
    );
  }
  let at = leaf;
  let parent: X509Certificate | undefined;
  for (let step = 0; step < CHAIN_LENGTH_MAX; step += 1) {
    const candidate = (one: X509Certificate): boolean => isCurrent(one, nowMs) && issued(at, one);
    const root = roots.find(candidate);
    if (root !== undefined) return parent ?? root;
    const next = intermediates.find(candidate);
    if (next === undefined) break;
    parent ??= next;
    at = next;
  }
  throw new CertificateError('certificate signed by unknown authority');
}
