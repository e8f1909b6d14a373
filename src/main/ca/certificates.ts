/**
 * Making X.509: certificate requests, root and node certificates.
 *
 * A certificate request contributes only its public key; names, times and uses are the signer's
 * (behaviour rule 4.1). Signing uses node:crypto; the encoding is ours, since it is small and fixed.
 */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPair,
  type KeyObject,
  randomBytes,
  sign,
  verify,
  X509Certificate,
} from 'node:crypto';
import { promisify } from 'node:util';
import * as der from './core/der.ts';
import { formatPem, parsePem } from './core/pem.ts';

/** What somebody gave us is not the certificate, key or request it should be. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
}

const OID = {
  COMMON_NAME: '2.5.4.3',
  ORGANIZATION: '2.5.4.10',
  ORGANIZATIONAL_UNIT: '2.5.4.11',
  SUBJECT_KEY_ID: '2.5.29.14',
  KEY_USAGE: '2.5.29.15',
  SUBJECT_ALTERNATIVE_NAME: '2.5.29.17',
  BASIC_CONSTRAINTS: '2.5.29.19',
  AUTHORITY_KEY_ID: '2.5.29.35',
  EXTENDED_KEY_USAGE: '2.5.29.37',
  SERVER_AUTH: '1.3.6.1.5.5.7.3.1',
  CLIENT_AUTH: '1.3.6.1.5.5.7.3.2',
} as const;

/** The signature algorithms a root or a request may use. */
export const SIGNATURES: Readonly<
  Record<string, { readonly hash: string; readonly type: 'ec' | 'rsa' }>
> = {
  '1.2.840.10045.4.3.2': { hash: 'sha256', type: 'ec' },
  '1.2.840.10045.4.3.3': { hash: 'sha384', type: 'ec' },
  '1.2.840.10045.4.3.4': { hash: 'sha512', type: 'ec' },
  '1.2.840.113549.1.1.11': { hash: 'sha256', type: 'rsa' },
  '1.2.840.113549.1.1.12': { hash: 'sha384', type: 'rsa' },
  '1.2.840.113549.1.1.13': { hash: 'sha512', type: 'rsa' },
};

/** Which algorithm a key signs with: the hash as strong as the curve. */
const SIGNATURE_OF_CURVE: Readonly<Record<string, string>> = {
  prime256v1: '1.2.840.10045.4.3.2',
  secp384r1: '1.2.840.10045.4.3.3',
  secp521r1: '1.2.840.10045.4.3.4',
};
const SIGNATURE_OF_RSA = '1.2.840.113549.1.1.11';
const RSA_BITS_MIN = 2048;

/** Bits of the key usage string, first bit first. */
const KEY_USAGE = {
  NODE: { bits: Uint8Array.of(0b1010_0000), unused: 5 }, // digitalSignature, keyEncipherment
  ROOT: { bits: Uint8Array.of(0b0000_0110), unused: 1 }, // certSign, cRLSign
} as const;

const NULL = Uint8Array.of(0x05, 0x00);

/**
 * The algorithm that `key` signs with.
 *
 * @throws CertificateError in SwarmKit's words when a cluster may not use such a key.
 */
export function signatureOid(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') {
    if ((key.asymmetricKeyDetails?.modulusLength ?? 0) >= RSA_BITS_MIN) return SIGNATURE_OF_RSA;
    throw new CertificateError('unsupported RSA key parameters');
  }
  const curve = key.asymmetricKeyDetails?.namedCurve ?? '';
  const found = SIGNATURE_OF_CURVE[curve];
  if (key.asymmetricKeyType !== 'ec' || found === undefined) {
    throw new CertificateError('unsupported ECDSA key parameters');
  }
  return found;
}

const algorithm = (oid: string): Buffer =>
  SIGNATURES[oid]?.type === 'rsa' ? der.sequence(der.oid(oid), NULL) : der.sequence(der.oid(oid));

/** The signed form of `body`: body, algorithm, signature. */
function signed(body: Uint8Array, key: KeyObject): Buffer {
  const oid = signatureOid(key);
  const signature = sign(SIGNATURES[oid]?.hash, body, key);
  return der.sequence(body, algorithm(oid), der.bits(signature));
}

const attribute = (oid: string, value: string): Buffer =>
  der.tlv(der.Tag.SET, der.sequence(der.oid(oid), der.utf8(value)));

function extension(oid: string, value: Uint8Array, critical = false): Buffer {
  const flag = critical ? [der.boolean(true)] : [];
  return der.sequence(der.oid(oid), ...flag, der.octets(value));
}

export const spkiOf = (key: KeyObject): Buffer => key.export({ type: 'spki', format: 'der' });

/** The usual key id: the hash of the public key's bits. */
function keyIdOf(spki: Uint8Array): Buffer {
  const [, bits] = der.children(der.readDer(spki));
  return createHash('sha1').update(der.readBits(bits)).digest();
}

/** What stands in a certificate that we need as it stands there. */
export type Parts = {
  readonly subject: Uint8Array;
  readonly issuer: Uint8Array;
  readonly signatureOid: string;
  readonly subjectKeyId: Uint8Array | undefined;
};

function subjectKeyId(extensions: der.DerNode | undefined): Uint8Array | undefined {
  if (extensions === undefined) return undefined;
  const [list] = der.children(extensions);
  for (const one of der.children(der.expectTag(list, der.Tag.SEQUENCE))) {
    const fields = der.children(one);
    if (der.readOid(fields[0]) !== OID.SUBJECT_KEY_ID) continue;
    return der.readDer(der.expectTag(fields.at(-1), der.Tag.OCTET_STRING).content).content;
  }
  return undefined;
}

const EXTENSIONS_TAG = 0xa3;

export function partsOf(certificate: X509Certificate): Parts {
  const [body, signature] = der.children(der.readDer(certificate.raw));
  const fields = der.children(der.expectTag(body, der.Tag.SEQUENCE));
  const from = fields[0]?.tag === 0xa0 ? 1 : 0; // the version is optional
  const issuer = der.expectTag(fields[from + 2], der.Tag.SEQUENCE);
  const subject = der.expectTag(fields[from + 4], der.Tag.SEQUENCE);
  const [oid] = der.children(der.expectTag(signature, der.Tag.SEQUENCE));
  return {
    issuer: issuer.raw,
    subject: subject.raw,
    signatureOid: der.readOid(oid),
    subjectKeyId: subjectKeyId(fields.find(({ tag }) => tag === EXTENSIONS_TAG)),
  };
}

const iso = (ms: number): string => new Date(ms).toISOString();

/** A positive number of 159 random bits. */
function serialNumber(): Buffer {
  const bytes = randomBytes(20);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return der.integer(bytes);
}

type Draft = {
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly spki: Uint8Array;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  readonly extensions: readonly Uint8Array[];
};

function issue(draft: Draft, signer: KeyObject): string {
  const body = der.sequence(
    der.explicit(0, der.integer(Uint8Array.of(2))),
    serialNumber(),
    algorithm(signatureOid(signer)),
    draft.issuer,
    der.sequence(der.time(iso(draft.notBeforeMs)), der.time(iso(draft.notAfterMs))),
    draft.subject,
    draft.spki,
    der.explicit(3, der.sequence(...draft.extensions)),
  );
  return formatPem('CERTIFICATE', signed(body, signer));
}

const newKeyPair = promisify(generateKeyPair);

/** A fresh P-256 key, as PKCS#8 PEM. */
export async function newKey(): Promise<string> {
  const { privateKey } = await newKeyPair('ec', { namedCurve: 'P-256' });
  return privateKey.export({ type: 'pkcs8', format: 'pem' });
}

/** A self-signed root for `commonName`. Times are milliseconds since 1970. */
export function selfSigned(
  keyPem: string,
  commonName: string,
  valid: { readonly notBeforeMs: number; readonly notAfterMs: number },
): string {
  const key = createPrivateKey(keyPem);
  const name = der.sequence(attribute(OID.COMMON_NAME, commonName));
  const spki = spkiOf(createPublicKey(key));
  const extensions = [
    extension(OID.KEY_USAGE, der.bits(KEY_USAGE.ROOT.bits, KEY_USAGE.ROOT.unused), true),
    extension(OID.BASIC_CONSTRAINTS, der.sequence(der.boolean(true)), true),
    extension(OID.SUBJECT_KEY_ID, der.octets(keyIdOf(spki))),
  ];
  return issue({ issuer: name, subject: name, spki, ...valid, extensions }, key);
}

/** A certificate request with an empty subject for `keyPem`'s key. */
export function certificateRequest(keyPem: string): string {
  const key = createPrivateKey(keyPem);
  const body = der.sequence(
    der.integer(Uint8Array.of(0)),
    der.sequence(),
    spkiOf(createPublicKey(key)),
    der.explicit(0),
  );
  return formatPem('CERTIFICATE REQUEST', signed(body, key));
}

const REQUEST_LABELS = new Set(['CERTIFICATE REQUEST', 'NEW CERTIFICATE REQUEST']);

/** The public key of a request, whose signature must prove that the sender holds the private one. */
function requestedKey(csrPem: string): KeyObject {
  const [block] = parsePem(csrPem);
  if (block === undefined || !REQUEST_LABELS.has(block.label)) {
    throw new CertificateError('the certificate request is not PEM');
  }
  const [body, oidNode, signature] = der.children(
    der.expectTag(der.readDer(block.der), der.Tag.SEQUENCE),
  );
  const [, , spki] = der.children(der.expectTag(body, der.Tag.SEQUENCE));
  const [oid] = der.children(der.expectTag(oidNode, der.Tag.SEQUENCE));
  const algorithmOid = der.readOid(oid);
  const scheme = SIGNATURES[algorithmOid];
  if (scheme === undefined) {
    throw new CertificateError(`unsupported signature algorithm: ${algorithmOid}`);
  }
  const key = createPublicKey({
    key: Buffer.from(der.expectTag(spki, der.Tag.SEQUENCE).raw),
    format: 'der',
    type: 'spki',
  });
  signatureOid(key);
  const genuine =
    key.asymmetricKeyType === scheme.type &&
    verify(scheme.hash, body?.raw ?? new Uint8Array(), key, der.readBits(signature));
  if (!genuine) throw new CertificateError('the certificate request is not signed by its key');
  return key;
}

/** @throws CertificateError when the text is no request, or is not signed by its own key. */
export function parseRequest(csrPem: string): KeyObject {
  try {
    return requestedKey(csrPem);
  } catch (error) {
    if (error instanceof CertificateError) throw error;
    const text = error instanceof Error ? error.message : String(error);
    throw new CertificateError(`the certificate request cannot be read: ${text}`);
  }
}

/** What the signer puts into a node's certificate. */
export type NodeSubject = {
  readonly organization: string;
  readonly organizationalUnit: string;
  readonly commonName: string;
  readonly dnsNames: readonly string[];
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
};

/** Signs a node certificate for `publicKey`; the result is one PEM block. */
export function nodeCertificate(
  subject: NodeSubject,
  publicKey: KeyObject,
  issuer: { readonly certificatePem: string; readonly keyPem: string },
): string {
  const issuerKey = createPrivateKey(issuer.keyPem);
  const parent = partsOf(new X509Certificate(issuer.certificatePem));
  const spki = spkiOf(publicKey);
  const names = subject.dnsNames.map((name) => der.implicit(2, Buffer.from(name)));
  const authority =
    parent.subjectKeyId === undefined
      ? []
      : [extension(OID.AUTHORITY_KEY_ID, der.sequence(der.implicit(0, parent.subjectKeyId)))];
  const uses = der.sequence(der.oid(OID.SERVER_AUTH), der.oid(OID.CLIENT_AUTH));
  return issue(
    {
      issuer: parent.subject,
      subject: der.sequence(
        attribute(OID.ORGANIZATION, subject.organization),
        attribute(OID.ORGANIZATIONAL_UNIT, subject.organizationalUnit),
        attribute(OID.COMMON_NAME, subject.commonName),
      ),
      spki,
      notBeforeMs: subject.notBeforeMs,
      notAfterMs: subject.notAfterMs,
      extensions: [
        extension(OID.KEY_USAGE, der.bits(KEY_USAGE.NODE.bits, KEY_USAGE.NODE.unused), true),
        extension(OID.EXTENDED_KEY_USAGE, uses),
        extension(OID.BASIC_CONSTRAINTS, der.sequence(), true),
        extension(OID.SUBJECT_KEY_ID, der.octets(keyIdOf(spki))),
        ...authority,
        extension(OID.SUBJECT_ALTERNATIVE_NAME, der.sequence(...names)),
      ],
    },
    issuerKey,
  );
}
