/** Spans for people: `about a minute`, `3 hours`. */

const UNITS = [
  ['second', 1],
  ['minute', 60],
  ['hour', 3600],
  ['day', 86_400],
  ['week', 604_800],
  ['month', 2_592_000],
  ['year', 31_536_000],
] as const;

/** The span in its largest unit that fits twice, or once for seconds. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 1) return 'less than a second';
  const [unit, size] = UNITS.findLast(([, each]) => seconds >= each * 2) ?? UNITS[0];
  const count = Math.floor(seconds / size);
  return `${count} ${unit}${count === 1 ? '' : 's'}`;
}
