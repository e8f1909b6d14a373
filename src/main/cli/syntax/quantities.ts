/** Durations, sizes and shares of a processor, as Docker's commands and files write them. */
import { Duration } from '../../../shared/wire/gen/well-known.ts';
import { notA } from './problem.ts';

const NANOS: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  µs: 1_000n,
  μs: 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const SECOND = 1_000_000_000n;
/** What a signed 64-bit count of nanoseconds holds: about 292 years. */
const NANOS_MAX = (1n << 63n) - 1n;

/** `1h2m3.5s`, as Go writes durations, with an optional sign; `0` needs no unit. */
export function durationOf(text: string): Duration {
  const problem = (): Error => notA(text, 'a duration', '10s, 1m30s or 500ms');
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+$/.exec(text);
  if (match === null) {
    if (/^[+-]?0$/.test(text)) return Duration.create();
    throw problem();
  }
  let nanos = 0n;
  for (const [, whole = '', fraction = '', unit = ''] of text.matchAll(
    /(\d*)(?:\.(\d*))?(ns|us|µs|μs|ms|s|m|h)/g,
  )) {
    const factor = NANOS[unit] ?? 1n;
    nanos += BigInt(whole === '' ? 0 : whole) * factor;
    const digits = fraction.slice(0, 18);
    if (digits !== '') nanos += (BigInt(digits) * factor) / 10n ** BigInt(digits.length);
  }
  if (nanos > NANOS_MAX) throw problem();
  const sign = match[1] === '-' ? -1 : 1;
  const seconds = sign * Number(nanos / SECOND);
  return { seconds: seconds || 0, nanos: sign * Number(nanos % SECOND) || 0 };
}

/** The shortest such text for the span. */
export function durationText({ seconds, nanos }: Duration): string {
  const total = BigInt(seconds) * SECOND + BigInt(nanos);
  if (total === 0n) return '0s';
  const size = total < 0n ? -total : total;
  const sign = total < 0n ? '-' : '';
  if (size < SECOND) {
    const unit = ['ms', 'us', 'ns'].find((name) => size % (NANOS[name] ?? 1n) === 0n) ?? 'ns';
    return `${sign}${size / (NANOS[unit] ?? 1n)}${unit}`;
  }
  const whole = size / SECOND;
  const [hours, minutes, rest] = [whole / 3600n, (whole / 60n) % 60n, whole % 60n];
  const fraction = String(size % SECOND)
    .padStart(9, '0')
    .replace(/0+$/, '');
  const last = `${rest}${fraction === '' ? '' : `.${fraction}`}`;
  const parts = [
    hours > 0n ? `${hours}h` : '',
    minutes > 0n ? `${minutes}m` : '',
    last === '0' ? '' : `${last}s`,
  ];
  return sign + parts.join('');
}

const BYTE_UNITS = ['', 'k', 'm', 'g', 't', 'p'] as const;

/** `512m`, `1.5g`, `64MiB`, or a plain number of bytes; the units are powers of 1024. */
export function bytesOf(text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s?([kmgtp]?)(?:i?b)?$/i.exec(text);
  const power = BYTE_UNITS.findIndex((unit) => unit === match?.[2]?.toLowerCase());
  const bytes = match === null ? Number.NaN : Math.floor(Number(match[1]) * 1024 ** power);
  if (!Number.isSafeInteger(bytes)) throw notA(text, 'a size', '64m, 1.5g or 1048576');
  return bytes;
}

/** A size for people: three digits and a unit. */
export function bytesText(bytes: number): string {
  let value = bytes;
  let power = 0;
  while (value >= 1024 && power < BYTE_UNITS.length - 1) {
    value /= 1024;
    power += 1;
  }
  const unit = power === 0 ? 'B' : `${(BYTE_UNITS[power] ?? '').toUpperCase()}iB`;
  return `${value >= 100 || Number.isInteger(value) ? Math.round(value) : value.toFixed(1)} ${unit}`;
}

const NANO = 9;

/** Processors as a decimal number, exact to a billionth. */
export function nanoCpusOf(text: string): number {
  const match = /^(\d{1,6})?(?:\.(\d{1,9}))?$/.exec(text);
  if (match === null || (match[1] ?? match[2]) === undefined) {
    throw notA(text, 'a number of processors', '0.5 or 2');
  }
  return Number(match[1] ?? 0) * 1e9 + Number((match[2] ?? '').padEnd(NANO, '0'));
}
