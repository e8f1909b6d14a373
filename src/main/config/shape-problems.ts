/** What a file's shape has wrong, in words that say what to write. */
import * as v from 'valibot';
import { nearest } from '../cli/syntax/words.ts';
import type { FilePath, FileProblem } from './problems.ts';
import { CLUSTER, type ClusterShape, isMap } from './schema.ts';

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
  if (Array.isArray(schema['pipe'])) {
    const last: unknown = schema['pipe'].findLast(
      (part) => isObject(part) && part['kind'] === 'schema',
    );
    if (last !== schema && isObject(last) && !Array.isArray(last['pipe'])) return bare(last);
  }
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

/** What valibot calls it, in a user's words. */
function kindWord(kind: string): string {
  const words: Readonly<Record<string, string>> = {
    Array: 'a list',
    Object: 'keys with values',
    null: 'nothing',
    undefined: 'nothing',
    string: 'a text',
    number: 'a number',
    boolean: 'true or false',
  };
  return words[kind] ?? kind;
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
  const expected = issue.message.startsWith('Invalid')
    ? `expected ${kindWord(issue.expected ?? '')}`
    : issue.message;
  return `"${key}": ${expected}, not ${kindWord(issue.received)}`;
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

type Shaped =
  | { readonly ok: true; readonly shape: ClusterShape }
  | { readonly ok: false; readonly problems: readonly FileProblem[] };

function shapeOnce(value: unknown): Shaped {
  const result = v.safeParse(CLUSTER, value);
  if (result.success) return { ok: true, shape: result.output };
  return { ok: false, problems: result.issues.flatMap((issue) => [...unfolded(issue, [])]) };
}

export type Shaping = {
  /** The file without what is wrong with it; undefined when nothing of it can be read. */
  readonly shape: ClusterShape | undefined;
  readonly problems: readonly FileProblem[];
};

/** Of one object only the first unknown key is found at a time. */
const ROUNDS_MAX = 100;

/** What is wrong with the shape; and the rest, so that its values can be read all the same. */
export function shapeOf(value: unknown): Shaping {
  const rest: unknown = structuredClone(value ?? {});
  if (!isMap(rest)) {
    const text = `expected keys such as ${keysAt(CLUSTER, []).join(', ')}, with their values`;
    return { shape: undefined, problems: [{ path: [], text }] };
  }
  const problems: FileProblem[] = [];
  const pruned = new Set<string>();
  /** What became incomplete by our own doing is no news. */
  const isOurs = ({ path }: FileProblem): boolean => pruned.has(path.join('\n'));
  for (let round = 0; round < ROUNDS_MAX; round += 1) {
    const shaped = shapeOnce(rest);
    if (shaped.ok) return { shape: shaped.shape, problems };
    for (const problem of shaped.problems) {
      if (!isOurs(problem)) problems.push(problem);
      prune(rest, problem.path);
      pruned.add(problem.path.join('\n'));
    }
  }
  return { shape: undefined, problems };
}

/** Takes out what the path leads to; the whole of what lacks something; the list of a wrong item. */
function prune(top: Record<string, unknown>, path: FilePath): void {
  const parents: (Record<string, unknown> | unknown[])[] = [top];
  for (const part of path.slice(0, -1)) {
    const parent = parents.at(-1);
    const next: unknown = Array.isArray(parent) ? parent[Number(part)] : parent?.[part];
    if (!isMap(next) && !Array.isArray(next)) break;
    parents.push(next);
  }
  for (let depth = parents.length - 1; depth >= 0; depth -= 1) {
    const parent = parents[depth];
    const part = path[depth];
    if (part === undefined || Array.isArray(parent) || parent === undefined) continue;
    if (!Object.hasOwn(parent, part)) continue;
    if (depth === 1 && ['networks', 'secrets', 'configs'].includes(String(path[0]))) {
      parent[part] = { external: true };
    } else delete parent[part];
    return;
  }
}
