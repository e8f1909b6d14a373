/** PEM text: blocks of base64 with a label and, on a node's key file, headers. */

/** One block. */
export type PemBlock = {
  /** E.g. `CERTIFICATE`. */
  readonly label: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly der: Uint8Array;
};

const BLOCK = /-----BEGIN ([A-Z0-9 ]+)-----\r?\n([\s\S]*?)-----END \1-----/g;
const HEADER = /^([A-Za-z0-9-]+):\s*(.*)$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

function parseBlock(label: string, body: string): PemBlock | undefined {
  const headers: Record<string, string> = {};
  const data: string[] = [];
  for (const line of body.split(/\r?\n/)) {
    const header = HEADER.exec(line);
    if (header !== null) headers[header[1] ?? ''] = (header[2] ?? '').trim();
    else data.push(line.trim());
  }
  const base64 = data.join('');
  if (!BASE64.test(base64) || base64.length % 4 !== 0) return undefined;
  return { label, headers, der: Buffer.from(base64, 'base64') };
}

/** All well-formed blocks of `text`; text around them, and broken ones, are passed over. */
export function parsePem(text: string): readonly PemBlock[] {
  return [...text.matchAll(BLOCK)].flatMap((match) => {
    const block = parseBlock(match[1] ?? '', match[2] ?? '');
    return block === undefined ? [] : [block];
  });
}

/** The block as text, lines of 64 characters, headers in order of their names. */
export function formatPem(
  label: string,
  der: Uint8Array,
  headers: Readonly<Record<string, string>> = {},
): string {
  const head = Object.keys(headers)
    .toSorted()
    .map((name) => `${name}: ${headers[name]}\n`);
  const separator = head.length === 0 ? '' : '\n';
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${head.join('')}${separator}${lines.join('\n')}\n-----END ${label}-----\n`;
}
