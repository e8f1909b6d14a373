/**
 * Raft scripts as text: commands with what must come of them.
 *
 * A step is a command line, perhaps input lines, a line `----` and the expected output up to the
 * next blank line. Output that has blank lines of its own stands between doubled `----` lines.
 * Lines that begin with `#` between steps are comments.
 */

/** `1`, `index=2` or `voters=(1,2,3)`: a word, with values if it has an equals sign. */
export type Argument = { readonly key: string; readonly values: readonly string[] };

export type Command = { readonly name: string; readonly args: readonly Argument[] };

export type Step = {
  /** Line of the command, counted from 1. */
  readonly line: number;
  readonly command: Command;
  readonly input: readonly string[];
  readonly expected: readonly string[];
  /** Where the expected output stands: lines counted from 0, with its separators. */
  readonly span: { readonly start: number; readonly end: number };
};

/** A script that cannot be played: not a wrong outcome, but a wrong script. */
export class ScriptError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ScriptError';
  }
}

const SEPARATOR = '----';

export function parseScript(text: string): readonly Step[] {
  const lines = text.split('\n');
  const steps: Step[] = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at]?.trim() ?? '';
    if (line === '' || line.startsWith('#')) at += 1;
    else at = parseStep(lines, at, steps);
  }
  return steps;
}

/** Reads the step that begins at `start`. @returns where the next one may begin. */
function parseStep(lines: readonly string[], start: number, steps: Step[]): number {
  const separator = lines.indexOf(SEPARATOR, start);
  if (separator === -1) throw new ScriptError(`line ${start + 1}: a command without ${SEPARATOR}`);
  const head = joinContinued(lines.slice(start, separator));
  const doubled = lines[separator + 1] === SEPARATOR;
  const from = separator + (doubled ? 2 : 1);
  const end = doubled ? findDoubled(lines, from) : findBlank(lines, from);
  steps.push({
    line: start + 1,
    command: parseCommand(head[0] ?? ''),
    input: head.slice(1),
    expected: lines.slice(from, end),
    span: { start: separator, end: doubled ? end + 2 : end },
  });
  return doubled ? end + 2 : end;
}

/** Joins each line that ends with a backslash to the next one. */
function joinContinued(lines: readonly string[]): readonly string[] {
  return lines.join('\n').replaceAll('\\\n', ' ').split('\n');
}

function findBlank(lines: readonly string[], from: number): number {
  const at = lines.indexOf('', from);
  return at === -1 ? lines.length : at;
}

function findDoubled(lines: readonly string[], from: number): number {
  for (let at = from; at + 1 < lines.length; at += 1) {
    if (lines[at] === SEPARATOR && lines[at + 1] === SEPARATOR) return at;
  }
  throw new ScriptError(`line ${from}: output without its closing ${SEPARATOR} lines`);
}

const WORD = /([^\s=()]+)(?:=(?:\(([^)]*)\)|([^\s()]*)))?/g;

export function parseCommand(line: string): Command {
  const [first, ...rest] = line.matchAll(WORD);
  if (first?.[1] === undefined) throw new ScriptError(`not a command: ${line}`);
  return { name: first[1], args: rest.map(toArgument) };
}

function toArgument([, key = '', list, single]: RegExpMatchArray): Argument {
  if (list !== undefined) return { key, values: list.split(/[\s,]+/).filter(Boolean) };
  return { key, values: single === undefined ? [] : [single] };
}
