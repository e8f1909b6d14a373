/** What is wrong with a cluster file: every problem with its place and what to write instead. */
import { isMap, isPair, isScalar, isSeq, type Document, type LineCounter } from 'yaml';

/** Keys and list positions from the top of the file. */
export type FilePath = readonly (string | number)[];

export type FileProblem = { readonly path: FilePath; readonly text: string };

type Place = { readonly line: number; readonly column: number };

/** One problem as it is printed. */
export type PlacedProblem = Place & { readonly text: string };

export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly PlacedProblem[];

  constructor(file: string, problems: readonly PlacedProblem[]) {
    const lines = problems.map(({ line, column, text }) => `${file}:${line}:${column}: ${text}`);
    super(lines.join('\n'));
    this.problems = problems;
  }
}

/** Where the path, or as much of it as is there, stands in the file: at the key of its last part. */
export function placeOf(document: Document, lines: LineCounter, path: FilePath): Place {
  let node: unknown = document.contents;
  let offset = 0;
  for (const part of path) {
    const next: { readonly at: number; readonly value: unknown } | undefined = stepInto(node, part);
    if (next === undefined) break;
    offset = next.at;
    node = next.value;
  }
  const { line, col } = lines.linePos(offset);
  return { line: Math.max(1, line), column: Math.max(1, col) };
}

function stepInto(
  node: unknown,
  part: string | number,
): { readonly at: number; readonly value: unknown } | undefined {
  if (isMap(node)) {
    const pair = node.items.find(
      (item) => isPair(item) && isScalar(item.key) && String(item.key.value) === String(part),
    );
    if (pair === undefined) return undefined;
    return { at: isScalar(pair.key) ? (pair.key.range?.[0] ?? 0) : 0, value: pair.value };
  }
  if (!isSeq(node)) return undefined;
  const item = node.items[Number(part)];
  return item === undefined ? undefined : { at: startOf(item), value: item };
}

const startOf = (node: unknown): number => {
  const range =
    typeof node === 'object' && node !== null && 'range' in node ? node.range : undefined;
  return Array.isArray(range) && typeof range[0] === 'number' ? range[0] : 0;
};
