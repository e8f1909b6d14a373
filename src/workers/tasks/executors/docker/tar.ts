/** Writes small tar archives (ustar), as the engine takes them for an image or for a container's files. */
import assert from 'node:assert/strict';

export type TarEntry = {
  /** Without a leading slash; at most 100 bytes, or 255 where it can be split at a slash. */
  readonly path: string;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
} & (
  | { readonly kind: 'file'; readonly data: Uint8Array }
  | { readonly kind: 'directory' }
  | { readonly kind: 'link'; readonly target: string }
);

const BLOCK = 512;

export function tar(entries: readonly TarEntry[]): Buffer {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    const data = entry.kind === 'file' ? entry.data : new Uint8Array(0);
    parts.push(header(entry, data.length), data, Buffer.alloc(-data.length & (BLOCK - 1)));
  }
  parts.push(Buffer.alloc(2 * BLOCK));
  return Buffer.concat(parts);
}

const TYPES = { file: '0', link: '2', directory: '5' } as const;

function header(entry: TarEntry, sizeBytes: number): Buffer {
  const block = Buffer.alloc(BLOCK);
  const [prefix, name] = splitPath(entry.path);
  const octal = (value: number, at: number, width: number): void => {
    block.write(value.toString(8).padStart(width - 1, '0'), at, 'latin1');
  };
  block.write(name, 0);
  octal(entry.mode, 100, 8);
  octal(entry.uid ?? 0, 108, 8);
  octal(entry.gid ?? 0, 116, 8);
  octal(sizeBytes, 124, 12);
  octal(0, 136, 12);
  block.fill(' ', 148, 156);
  block.write(TYPES[entry.kind], 156);
  if (entry.kind === 'link') block.write(entry.target, 157);
  block.write('ustar\u000000', 257);
  block.write(prefix, 345);
  let sum = 0;
  for (const byte of block) sum += byte;
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

function splitPath(path: string): [prefix: string, name: string] {
  const bytes = Buffer.byteLength(path);
  if (bytes <= 100) return ['', path];
  const slash = path.indexOf('/', path.length - 100);
  assert(slash > 0 && slash <= 155 && bytes <= 255, `path too long for an archive: ${path}`);
  return [path.slice(0, slash), path.slice(slash + 1)];
}
