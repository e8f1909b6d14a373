/**
 * References to images as Docker writes them: `[domain[:port]/]path[:tag][@digest]`, where the short
 * forms stand for images of Docker Hub: `redis` is `docker.io/library/redis`.
 */

/** The parts of a reference, with the short forms filled in. */
export type ImageReference = {
  /** With the port, if one is given. */
  readonly domain: string;
  readonly path: string;
  /** Empty when none is given. */
  readonly tag: string;
  /** `sha256:…`; empty when none is given. */
  readonly digest: string;
};

const HUB = 'docker.io';
const HUB_ALIAS = 'index.docker.io';
const OFFICIAL = 'library';
const NAME_LENGTH_MAX = 255;

const DOMAIN_LABEL = /^(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])$/;
const IPV6_HOST = /^\[[a-fA-F0-9:]+\]$/;
const PORT = /^[0-9]+$/;
const PATH_PART = /^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const BARE_DIGEST = /^[a-f0-9]{64}$/;
/** Length of each known digest in hexadecimal digits. */
const DIGEST_DIGITS: Readonly<Record<string, number>> = { sha256: 64, sha384: 96, sha512: 128 };

/** Reads a reference; undefined when it is not one. */
export function parseImageReference(text: string): ImageReference | undefined {
  if (BARE_DIGEST.test(text)) return undefined;
  const [named = '', digest, ...rest] = text.split('@');
  if (rest.length > 0 || (digest !== undefined && !isDigest(digest))) return undefined;
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1);
  const tag = colon < 0 ? undefined : named.slice(colon + 1);
  if (tag !== undefined && !TAG.test(tag)) return undefined;
  const name = splitName(colon < 0 ? named : named.slice(0, colon));
  return name === undefined ? undefined : { ...name, tag: tag ?? '', digest: digest ?? '' };
}

function splitName(name: string): Pick<ImageReference, 'domain' | 'path'> | undefined {
  const slash = name.indexOf('/');
  const first = name.slice(0, Math.max(slash, 0));
  const hasDomain = slash >= 0 && (/[.:A-Z]/.test(first) || first === 'localhost');
  const given = hasDomain ? first : HUB;
  const domain = given === HUB_ALIAS ? HUB : given;
  const rest = hasDomain ? name.slice(slash + 1) : name;
  const path = domain === HUB && !rest.includes('/') ? `${OFFICIAL}/${rest}` : rest;
  if (!isDomain(domain) || domain.length + 1 + path.length > NAME_LENGTH_MAX) return undefined;
  return path.split('/').every((part) => PATH_PART.test(part)) ? { domain, path } : undefined;
}

function isDomain(domain: string): boolean {
  const end = domain.startsWith('[') ? domain.indexOf(']') + 1 : domain.indexOf(':');
  const host = end <= 0 ? domain : domain.slice(0, end);
  const port = domain.slice(host.length);
  if (port !== '' && !(port.startsWith(':') && PORT.test(port.slice(1)))) return false;
  return IPV6_HOST.test(host) || host.split('.').every((label) => DOMAIN_LABEL.test(label));
}

function isDigest(digest: string): boolean {
  const [algorithm = '', hex = '', ...rest] = digest.split(':');
  if (rest.length > 0 || !Object.hasOwn(DIGEST_DIGITS, algorithm)) return false;
  return hex.length === DIGEST_DIGITS[algorithm] && /^[a-f0-9]+$/.test(hex);
}

/** Writes the reference in full. */
export function formatImageReference(image: ImageReference): string {
  const tag = image.tag === '' ? '' : `:${image.tag}`;
  const digest = image.digest === '' ? '' : `@${image.digest}`;
  return `${image.domain}/${image.path}${tag}${digest}`;
}
