/**
 * The part of Go's text/template that service specs use: field paths, strings and numbers, functions
 * with arguments, pipelines, `if`/`else`/`end`, comments and trim marks. Loops, variables and
 * definitions are refused by name, as is everything that is not there.
 *
 * A missing field or map key is an error, never an empty text.
 */
import assert from 'node:assert/strict';

/** The template cannot be expanded; the message says where and why, in words for its author. */
export class TemplateError extends Error {
  override readonly name = 'TemplateError';
}

/** What a template can look into: texts, flags, records of known fields, and maps by key. */
export type TemplateValue = string | number | boolean | TemplateRecord | TemplateMap;
export type TemplateRecord = {
  readonly kind: 'record';
  /** As error messages call it, e.g. `.Service`. */
  readonly path: string;
  readonly fields: Readonly<Record<string, TemplateValue>>;
};
export type TemplateMap = {
  readonly kind: 'map';
  readonly entries: Readonly<Record<string, string>>;
};

/** A function of a template: takes its arguments, the piped one last. */
export type TemplateFunction = (...values: readonly TemplateValue[]) => TemplateValue;

const KINDS = ['field', 'word', 'string', 'number', 'mark'] as const;
type Token = { readonly kind: (typeof KINDS)[number]; readonly text: string };
type Part = { readonly text: string } | { readonly tokens: readonly Token[] };

const ACTION = /\{\{(- )?((?:"(?:\\.|[^"\\])*"|`[^`]*`|(?!-?\}\})[^"`])*?)( -)?\}\}/gs;
const TOKEN =
  /\s*(?:(?<field>(?:\.[A-Za-z_]\w*)+|\.(?!\w))|(?<number>-?\d+(?:\.\d+)?)|(?<string>"(?:\\.|[^"\\])*"|`[^`]*`)|(?<word>[A-Za-z_]\w*)|(?<mark>[|()]))/y;
const REFUSED = new Set(['range', 'with', 'define', 'template', 'block', 'break', 'continue']);

/** @returns the text with every action replaced by its value. @throws TemplateError */
export function expandTemplate(
  text: string,
  root: TemplateRecord,
  functions: Readonly<Record<string, TemplateFunction>> = {},
): string {
  if (!text.includes('{{')) return text;
  return new Expansion(split(text), root, { ...BUILT_IN, ...functions }).run();
}

/** Texts and actions in order, with the trim marks obeyed and comments dropped. */
function split(text: string): Part[] {
  const parts: Part[] = [];
  let at = 0;
  let trimNext = false;
  const literal = (raw: string, trimEnd: boolean): void => {
    if (raw.includes('{{')) throw new TemplateError('template: unclosed action');
    const start = trimNext ? raw.trimStart() : raw;
    parts.push({ text: trimEnd ? start.trimEnd() : start });
  };
  for (const match of text.matchAll(ACTION)) {
    literal(text.slice(at, match.index), match[1] !== undefined);
    at = match.index + match[0].length;
    trimNext = match[3] !== undefined;
    const body = (match[2] ?? '').trim();
    if (!/^\/\*.*\*\/$/s.test(body)) parts.push({ tokens: tokens(body) });
  }
  literal(text.slice(at), false);
  return parts;
}

function tokens(body: string): Token[] {
  const found: Token[] = [];
  const pattern = new RegExp(TOKEN);
  while (pattern.lastIndex < body.length) {
    const from = pattern.lastIndex;
    const groups = pattern.exec(body)?.groups;
    if (groups === undefined) {
      throw new TemplateError(`template: unexpected "${body.slice(from).trim()}" in action`);
    }
    const kind = KINDS.find((name) => groups[name] !== undefined);
    assert(kind !== undefined, 'a token is of one kind');
    found.push({ kind, text: groups[kind] ?? '' });
  }
  if (found.length === 0) throw new TemplateError('template: missing value for command');
  return found;
}

/** Walks the parts once; `skipping` is set in branches that are not taken. */
class Expansion {
  readonly #parts: readonly Part[];
  readonly #root: TemplateRecord;
  readonly #functions: Readonly<Record<string, TemplateFunction>>;
  #at = 0;

  constructor(
    parts: readonly Part[],
    root: TemplateRecord,
    functions: Readonly<Record<string, TemplateFunction>>,
  ) {
    this.#parts = parts;
    this.#root = root;
    this.#functions = functions;
  }

  run(): string {
    const { out, stop } = this.#block(true);
    if (stop !== undefined) throw new TemplateError(`template: unexpected {{${stop[0]?.text}}}`);
    return out;
  }

  /** Expands up to an `else` or `end` of the level above, or the end of the text. */
  #block(taken: boolean): { readonly out: string; readonly stop?: readonly Token[] } {
    let out = '';
    while (this.#at < this.#parts.length) {
      const part = this.#parts[this.#at++];
      assert(part !== undefined);
      if ('text' in part) {
        out += taken ? part.text : '';
        continue;
      }
      const word = part.tokens[0]?.kind === 'word' ? part.tokens[0].text : '';
      if (word === 'else' || word === 'end') return { out, stop: part.tokens };
      if (REFUSED.has(word)) throw new TemplateError(`template: {{${word}}} is not supported`);
      if (word === 'if') out += this.#branch(part.tokens.slice(1), taken);
      else if (taken) out += show(this.#pipeline(new Cursor(part.tokens)));
    }
    return { out };
  }

  #branch(condition: readonly Token[], taken: boolean): string {
    const holds = taken && truth(this.#pipeline(new Cursor(condition)));
    const then = this.#block(holds);
    const stop = then.stop;
    if (stop === undefined) throw new TemplateError('template: {{if}} without {{end}}');
    if (stop[0]?.text === 'end') return then.out;
    if (stop[1]?.text === 'if') return then.out + this.#branch(stop.slice(2), taken && !holds);
    const other = this.#block(taken && !holds);
    if (other.stop?.[0]?.text !== 'end') {
      throw new TemplateError('template: {{else}} without {{end}}');
    }
    return then.out + other.out;
  }

  #pipeline(cursor: Cursor): TemplateValue {
    let value = this.#command(cursor);
    while (cursor.take('|')) value = this.#command(cursor, value);
    cursor.expectEnd();
    return value;
  }

  /** One command: a function with its arguments (and what was piped to it), or a single value. */
  #command(cursor: Cursor, piped?: TemplateValue): TemplateValue {
    const first = cursor.peek();
    if (first?.kind === 'word' && first.text !== 'true' && first.text !== 'false') {
      cursor.next();
      const call = Object.hasOwn(this.#functions, first.text)
        ? this.#functions[first.text]
        : undefined;
      if (call === undefined)
        throw new TemplateError(`template: function "${first.text}" not defined`);
      const given: TemplateValue[] = [];
      while (cursor.startsOperand()) given.push(this.#operand(cursor));
      return call(...given, ...(piped === undefined ? [] : [piped]));
    }
    const value = this.#operand(cursor);
    if (piped !== undefined || cursor.startsOperand()) {
      throw new TemplateError(`template: can't give argument to non-function ${first?.text}`);
    }
    return value;
  }

  #operand(cursor: Cursor): TemplateValue {
    const token = cursor.next();
    if (token.text === '(') {
      let value = this.#command(cursor);
      while (cursor.take('|')) value = this.#command(cursor, value);
      if (!cursor.take(')')) throw new TemplateError('template: unclosed left paren');
      return value;
    }
    switch (token.kind) {
      case 'field':
        return this.#field(token.text);
      case 'string':
        return unquote(token.text);
      case 'number':
        return Number(token.text);
      case 'word':
        if (token.text === 'true' || token.text === 'false') return token.text === 'true';
        return this.#command(new Cursor([token]));
      case 'mark':
        break;
    }
    throw new TemplateError(`template: unexpected "${token.text}"`);
  }

  #field(path: string): TemplateValue {
    let value: TemplateValue = this.#root;
    for (const name of path.split('.').slice(1).filter(Boolean)) {
      if (typeof value !== 'object') {
        throw new TemplateError(`template: can't evaluate field ${name} of a text in ${path}`);
      }
      const fields: Readonly<Record<string, TemplateValue>> =
        value.kind === 'map' ? value.entries : value.fields;
      const next: TemplateValue | undefined = Object.hasOwn(fields, name)
        ? fields[name]
        : undefined;
      if (next === undefined) {
        throw new TemplateError(
          value.kind === 'map'
            ? `template: map has no entry for key "${name}" in ${path}`
            : `template: can't evaluate field ${name} in ${path}`,
        );
      }
      value = next;
    }
    return value;
  }
}

/** A place in the tokens of one action. */
class Cursor {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(list: readonly Token[]) {
    this.#tokens = list;
  }

  peek(): Token | undefined {
    return this.#tokens[this.#at];
  }

  next(): Token {
    const token = this.#tokens[this.#at++];
    if (token === undefined) throw new TemplateError('template: missing value for command');
    return token;
  }

  take(mark: string): boolean {
    if (this.peek()?.kind !== 'mark' || this.peek()?.text !== mark) return false;
    this.#at += 1;
    return true;
  }

  startsOperand(): boolean {
    const token = this.peek();
    return token !== undefined && (token.kind !== 'mark' || token.text === '(');
  }

  expectEnd(): void {
    const token = this.peek();
    if (token !== undefined) throw new TemplateError(`template: unexpected "${token.text}"`);
  }
}

function unquote(text: string): string {
  if (text.startsWith('`')) return text.slice(1, -1);
  return text.slice(1, -1).replaceAll(/\\(.)/g, (_, escaped: string) => {
    const plain = { n: '\n', t: '\t', r: '\r', '"': '"', '\\': '\\', "'": "'" }[escaped];
    if (plain === undefined) throw new TemplateError(`template: unknown escape \\${escaped}`);
    return plain;
  });
}

function show(value: TemplateValue): string {
  if (typeof value !== 'object') return String(value);
  if (value.kind === 'record') throw new TemplateError(`template: ${value.path || '.'} is no text`);
  const pairs = Object.entries(value.entries).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return `map[${pairs.map(([key, text]) => `${key}:${text}`).join(' ')}]`;
}

function truth(value: TemplateValue): boolean {
  if (typeof value !== 'object') return Boolean(value);
  return value.kind === 'record' || Object.keys(value.entries).length > 0;
}

const BUILT_IN: Readonly<Record<string, TemplateFunction>> = {
  join: (separator = '', ...texts) => texts.map(show).join(show(separator)),
  index: (map, key) => {
    if (typeof map !== 'object' || map.kind !== 'map' || typeof key !== 'string') {
      throw new TemplateError('template: index takes a map and a key');
    }
    const found = Object.hasOwn(map.entries, key) ? map.entries[key] : undefined;
    if (found === undefined) throw new TemplateError(`template: map has no entry for key "${key}"`);
    return found;
  },
  print: (...texts) => texts.map(show).join(''),
  len: (value = '') =>
    typeof value === 'object' && value.kind === 'map'
      ? Object.keys(value.entries).length
      : Buffer.byteLength(show(value)),
  eq: (first, ...others) => others.some((other) => other === first),
  ne: (first, second) => first !== second,
  not: (value = '') => !truth(value),
  and: (...values) => values.find((value) => !truth(value)) ?? values.at(-1) ?? '',
  or: (...values) => values.find(truth) ?? values.at(-1) ?? '',
};
