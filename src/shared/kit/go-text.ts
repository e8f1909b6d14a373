/**
 * Values as Go's `fmt` prints them, for the error texts that clients of SwarmKit know.
 */

const ESCAPES: Readonly<Record<string, string>> = {
  '"': String.raw`\"`,
  '\\': String.raw`\\`,
  '\u0007': String.raw`\a`,
  '\b': String.raw`\b`,
  '\f': String.raw`\f`,
  '\n': String.raw`\n`,
  '\r': String.raw`\r`,
  '\t': String.raw`\t`,
  '\v': String.raw`\v`,
};

const UNPRINTABLE = /[^\p{L}\p{M}\p{N}\p{P}\p{S} ]/u;

/** `%q`: the text in double quotes, with escapes for what cannot be printed. */
export function goQuote(text: string): string {
  let quoted = '"';
  for (const char of text) quoted += ESCAPES[char] ?? (UNPRINTABLE.test(char) ? hex(char) : char);
  return `${quoted}"`;
}

function hex(char: string): string {
  const point = char.codePointAt(0) ?? 0;
  const digits = point.toString(16);
  if (point < 0x80) return String.raw`\x${digits.padStart(2, '0')}`;
  if (point < 0x1_0000) return String.raw`\u${digits.padStart(4, '0')}`;
  return String.raw`\U${digits.padStart(8, '0')}`;
}

/** `%g`: the shortest decimal, with an exponent below 1e-4 and from 1e6 up. */
export function goFloat(value: number): string {
  if (value === 0) return Object.is(value, -0) ? '-0' : '0';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const [mantissa = '', power = '0'] = value.toExponential().split('e');
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 6) return String(value);
  const sign = exponent < 0 ? '-' : '+';
  return `${mantissa}e${sign}${String(Math.abs(exponent)).padStart(2, '0')}`;
}
