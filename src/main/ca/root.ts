/**
 * The cluster's root: whom every node trusts, and, where the key is known, who signs node certificates.
 */
import type { X509Certificate } from 'node:crypto';
import { Role } from '../rpc/authorise.ts';
import { newKey, nodeCertificate, parseRequest, selfSigned } from './certificates.ts';
import { checkKeyMatches, checkRootAlgorithm, parseCertificates, verifyChain } from './chains.ts';
import { rootHash } from './tokens.ts';

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;

export const CA_LIMITS = {
  /** Common name of a root, and the server name of the CA services. */
  name: 'swarm-ca',
  rootValidityMs: 630_720_000_000,
  rootBackdateMs: 5 * MINUTE_MS,
  /** How long node certificates live when the cluster says nothing usable. */
  nodeExpiryDefaultMs: 2160 * HOUR_MS,
  nodeExpiryMinMs: HOUR_MS,
  /** Node certificates begin this long ago, for clocks that lag. */
  nodeBackdateMs: HOUR_MS,
} as const;

/** For whom a certificate is. */
export type NodeName = {
  readonly nodeId: string;
  /** The cluster id. */
  readonly organization: string;
  readonly role: Role;
};

/** The names a node's certificate answers to. */
function dnsNames({ nodeId, role }: NodeName): readonly string[] {
  return role === Role.MANAGER ? [role, nodeId, CA_LIMITS.name] : [role, nodeId];
}

/** A root certificate bundle, with its key where this node may sign. */
export class RootCa {
  /** The exact bundle, whose bytes the join tokens are bound to. */
  readonly certificatePem: string;
  readonly keyPem: string | undefined;
  readonly roots: readonly X509Certificate[];

  private constructor(certificatePem: string, keyPem: string | undefined) {
    this.certificatePem = certificatePem;
    this.keyPem = keyPem;
    this.roots = parseCertificates(certificatePem);
  }

  /** A new self-signed root. */
  static async create(nowMs: number): Promise<RootCa> {
    const keyPem = await newKey();
    const notBeforeMs = nowMs - CA_LIMITS.rootBackdateMs;
    const notAfterMs = notBeforeMs + CA_LIMITS.rootValidityMs;
    return new RootCa(selfSigned(keyPem, CA_LIMITS.name, { notBeforeMs, notAfterMs }), keyPem);
  }

  /**
   * A root from its PEM text.
   *
   * @throws CertificateError when a certificate cannot be read or may not be a root, or the key is
   * another's.
   */
  static parse(certificatePem: string, keyPem?: string): RootCa {
    const root = new RootCa(certificatePem, keyPem);
    root.roots.forEach(checkRootAlgorithm);
    const [first] = root.roots;
    if (keyPem !== undefined && first !== undefined) checkKeyMatches(first, keyPem);
    return root;
  }

  /** `sha256:<hex>` of the bundle. */
  get hash(): string {
    return rootHash(this.certificatePem);
  }

  /**
   * A certificate for the key of `csrPem`.
   *
   * @throws CertificateError when the request is no good; an assertion when this root cannot sign.
   */
  issue(csrPem: string, name: NodeName, time: { nowMs: number; expiryMs: number }): string {
    const { keyPem } = this;
    if (keyPem === undefined) throw new SignerMissingError();
    const expiryMs =
      time.expiryMs >= CA_LIMITS.nodeExpiryMinMs ? time.expiryMs : CA_LIMITS.nodeExpiryDefaultMs;
    const begin = time.nowMs - CA_LIMITS.nodeBackdateMs;
    const notBeforeMs = Math.round(begin / MINUTE_MS) * MINUTE_MS;
    const subject = {
      organization: name.organization,
      organizationalUnit: name.role,
      commonName: name.nodeId,
      dnsNames: dnsNames(name),
      notBeforeMs,
      notAfterMs: notBeforeMs + expiryMs + CA_LIMITS.nodeBackdateMs,
    };
    const issuer = { certificatePem: this.certificatePem, keyPem };
    return nodeCertificate(subject, parseRequest(csrPem), issuer);
  }

  /** @throws CertificateError when `chain` does not end in this root or is out of date. */
  verify(chain: readonly X509Certificate[], nowMs: number): X509Certificate {
    return verifyChain(chain, this.roots, nowMs);
  }
}

/** This node knows the root's certificate but not its key; signing is tried again later. */
export class SignerMissingError extends Error {
  override readonly name = 'SignerMissingError';

  constructor() {
    super('no valid signer found');
  }
}
