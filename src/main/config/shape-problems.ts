/** What a file's shape has wrong, in words that say what to write. */
import * as v from 'valibot';
import { nearest } from '../cli/syntax/words.ts';
import type { FilePath, FileProblem } from './problems.ts';
import { CLUSTER, type ClusterShape } from './schema.ts';

type Issue = v.BaseIssue<unknown>;

function pathOf(issue: Issue, above: FilePath): FilePath {
  const parts = (issue.path ?? []).map(({ key }) => (typeof key === 'number' ? key : String(key)));
  return [...above, ...parts];
}

/** The keys that stand where an unknown one was found. */
function keysAt(schema: unknown, path: FilePath): readonly string[] {
  let at: unknown = schema;
  for (const part of path) at = inside(bare(at), part);
  const found = bare(at);
  return isObject(found) && isObject(found['entries']) ? Object.keys(found['entries']) : [];
}

const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** Without the wrappers of an optional value; of alternatives, the one that has keys. */
function bare(schema: unknown): unknown {
  if (!isObject(schema)) return undefined;
  if (isObject(schema['wrapped'])) return bare(schema['wrapped']);
  if (schema['type'] === 'union' && Array.isArray(schema['options'])) {
    return schema['options'].map(bare).find((option) => isObject(option) && 'entries' in option);
  }
  return schema;
}

function inside(schema: unknown, part: string | number): unknown {
  if (!isObject(schema)) return undefined;
  if (isObject(schema['entries'])) return schema['entries'][part];
  return schema['type'] === 'record' ? schema['value'] : schema['item'];
}

function textOf(issue: Issue, path: FilePath): string {
  const key = String(path.at(-1) ?? '');
  if (issue.type === 'strict_object' && issue.expected === 'never') {
    const known = keysAt(CLUSTER, path.slice(0, -1));
    const meant = nearest(key, known);
    const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean "${meant}"?`;
    return `unknown key "${key}"; ${hint}`;
  }
  if (issue.type === 'strict_object' && issue.received === 'undefined') {
    return `"${key}" is missing`;
  }
  const received = issue.received === 'undefined' ? 'nothing' : issue.received;
  const expected = issue.message.startsWith('Invalid')
    ? `expected ${issue.expected}`
    : issue.message;
  return `${key === '' ? 'the file' : `"${key}"`}: ${expected}, not ${received}`;
}

/** Problems of alternatives are those of the one that fits best: the object, where there is one. */
function* unfolded(issue: Issue, above: FilePath): Generator<FileProblem> {
  const path = pathOf(issue, above);
  const inner = issue.issues?.filter((each) => (each.path?.length ?? 0) > 0) ?? [];
  if (issue.type === 'union' && inner.length > 0) {
    for (const each of inner) yield* unfolded(each, path);
    return;
  }
  yield { path, text: textOf(issue, path) };
}

export type Shaped =
  | { readonly ok: true; readonly shape: ClusterShape }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

export function shapeOf(value: unknown): Shaped {
  const result = v.safeParse(CLUSTER, value ?? {});
  if (result.success) return { ok: true, shape: result.output };
  return { ok: false, problems: result.issues.flatMap((issue) => [...unfolded(issue, [])]) };
}
