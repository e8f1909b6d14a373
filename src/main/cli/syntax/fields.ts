/** Lists of `key=value` fields with commas between them, and single `key=value` pairs. */
import { SyntaxProblem } from './problem.ts';

/** The fields of one line of comma-separated values; a field may stand in double quotes. */
export function splitFields(text: string): readonly string[] {
  const fields: string[] = [];
  let at = 0;
  while (at <= text.length) {
    if (text[at] === '"') {
      const match = /^"((?:[^"]|"")*)"(?:,|$)/.exec(text.slice(at));
      if (match === null) throw new SyntaxProblem(`"${text}" has a quote that does not end`);
      fields.push((match[1] ?? '').replaceAll('""', '"'));
      at += match[0].length;
      if (!match[0].endsWith(',')) return fields;
    } else {
      const comma = text.indexOf(',', at);
      fields.push(text.slice(at, comma === -1 ? text.length : comma));
      if (comma === -1) return fields;
      at = comma + 1;
    }
  }
  return fields;
}

/** What one field means: its value, and the whole text for errors. */
export type FieldReader = (value: string) => void;

/**
 * Hands every field to its reader; a field without `=` reads as `true` when `bare` names it.
 *
 * @throws SyntaxProblem for a field that has no reader
 */
export function readFields(
  text: string,
  readers: Readonly<Record<string, FieldReader>>,
  { bare = [], example }: { readonly bare?: readonly string[]; readonly example: string },
): void {
  for (const field of splitFields(text)) {
    const equals = field.indexOf('=');
    const key = (equals === -1 ? field : field.slice(0, equals)).trim().toLowerCase();
    const reader = Object.hasOwn(readers, key) ? readers[key] : undefined;
    if (reader === undefined) {
      const known = Object.keys(readers).join(', ');
      throw new SyntaxProblem(
        `"${key}" in "${text}" is not known; write ${known}, e.g. ${example}`,
      );
    }
    if (equals === -1 && !bare.includes(key)) {
      throw new SyntaxProblem(`"${key}" in "${text}" needs a value, e.g. ${example}`);
    }
    reader(equals === -1 ? 'true' : field.slice(equals + 1));
  }
}

/** `key=value`, or `key` alone for an empty value. */
export function pairOf(text: string): readonly [key: string, value: string] {
  const equals = text.indexOf('=');
  const [key, value] = equals === -1 ? [text, ''] : [text.slice(0, equals), text.slice(equals + 1)];
  if (key === '') throw new SyntaxProblem(`"${text}" has no name; write NAME=VALUE`);
  return [key, value];
}

/** Many `key=value` as one map; the last of a key counts. */
export function mapOf(texts: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(texts.map((text) => pairOf(text)));
}
