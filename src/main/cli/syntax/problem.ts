/**
 * What is wrong with a value that a user wrote. The text names the value and shows one that is right;
 * whoever read it adds where it stood: a flag, or a place in a file.
 */
export class SyntaxProblem extends Error {
  override readonly name = 'SyntaxProblem';
}

/** `"x" is not WHAT; write e.g. EXAMPLE`. */
export function notA(value: string, what: string, example: string): SyntaxProblem {
  return new SyntaxProblem(`"${value}" is not ${what}; write e.g. ${example}`);
}

/** The word's meaning in `words`; `what` is for the error. */
export function wordOf<T>(words: Readonly<Record<string, T>>, value: string, what: string): T {
  const meaning = Object.hasOwn(words, value) ? words[value] : undefined;
  if (meaning !== undefined) return meaning;
  const known = Object.keys(words);
  throw new SyntaxProblem(`"${value}" is not ${what}; write one of ${known.join(', ')}`);
}

/** `true`, `false`, `1` or `0`. */
export function booleanOf(value: string): boolean {
  return wordOf({ true: true, '1': true, false: false, '0': false }, value, 'true or false');
}

/** A whole number from `min` to `max`. */
export function integerOf(value: string, min = 0, max: number = Number.MAX_SAFE_INTEGER): number {
  const number = /^-?\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!(number >= min && number <= max)) {
    const range = max === Number.MAX_SAFE_INTEGER ? `from ${min} up` : `from ${min} to ${max}`;
    throw new SyntaxProblem(`"${value}" is not a whole number ${range}`);
  }
  return number;
}
