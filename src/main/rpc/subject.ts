/**
 * The names in a certificate's subject, as Node's object of a certificate has them, without that object: its
 * fingerprints and all else take longer than the check of a signature, for every connection.
 */
import type { X509Certificate } from 'node:crypto';

export type Subject = Readonly<Partial<Record<string, string | readonly string[]>>>;

/** A line of one plain name, as every cluster's own authority writes them: nothing of it can be escaped. */
const PLAIN = /^(CN|O|OU)=([\w.-]+)$/;

export function subjectOf(certificate: X509Certificate): Subject {
  const subject: Record<string, string | string[]> = {};
  // Node gives none for an empty one, whatever its types say.
  const { subject: text }: { readonly subject?: string } = certificate;
  for (const line of text?.split('\n') ?? []) {
    const [, field, name] = PLAIN.exec(line) ?? [];
    if (field === undefined || name === undefined) {
      return { ...certificate.toLegacyObject().subject };
    }
    const before = subject[field];
    subject[field] = before === undefined ? name : [before, name].flat();
  }
  return subject;
}
