/**
 * The certificates that this side shows in a TLS handshake.
 *
 * Given a leaf alone, OpenSSL looks for its issuers among the trusted roots, verifies what it finds and
 * sends all of it: anew for each handshake, at the price of a signature's check and more. Given the
 * issuer as well it sends the same bytes and looks for nothing.
 */
import { X509Certificate } from 'node:crypto';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;

/** The certificates of `certificatePem` (PEM, leaf first), with the root of `rootPem` that signed a lone leaf. */
export function shownChain(certificatePem: string, rootPem: string): string {
  const [leafPem, intermediatePem] = certificatePem.match(CERTIFICATE) ?? [];
  if (leafPem === undefined || intermediatePem !== undefined) return certificatePem;
  const leaf = new X509Certificate(leafPem);
  const issuerPem = rootPem.match(CERTIFICATE)?.find((pem) => {
    const root = new X509Certificate(pem);
    // While a root is replaced there are two of one name.
    return leaf.checkIssued(root) && leaf.verify(root.publicKey);
  });
  return issuerPem === undefined ? certificatePem : `${leafPem}\n${issuerPem}\n`;
}
