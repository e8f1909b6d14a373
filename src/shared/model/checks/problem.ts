/**
 * What is wrong with something a user wrote: one problem, where it stands, and SwarmKit's text for it.
 *
 * Checks are generators, so that a call can answer with the first problem, which is the one SwarmKit
 * reports, and a file checker can show them all.
 */
import type { Duration } from '../../wire/gen/well-known.ts';

/** The gRPC status that the control API answers with, by name. */
export type ProblemCode = 'INVALID_ARGUMENT' | 'PERMISSION_DENIED' | 'UNIMPLEMENTED' | 'UNKNOWN';

/** Field names of the generated types, and positions in lists, from the checked message down. */
export type Path = readonly (string | number)[];

export type Problem = {
  readonly code: ProblemCode;
  readonly path: Path;
  /** For the user. Where behaviour rules quote a text it is exactly that. */
  readonly text: string;
};

export type Problems = Generator<Problem, void, undefined>;

/** The usual kind of problem. */
export function invalid(path: Path, text: string): Problem {
  return { code: 'INVALID_ARGUMENT', path, text };
}

/** The problem that SwarmKit would report. */
export function firstProblem(problems: Problems): Problem | undefined {
  for (const problem of problems) return problem;
  return undefined;
}

/** Nanoseconds of the span; undefined when its parts do not make one. */
export function spanNanos(span: Duration): bigint | undefined {
  const { seconds, nanos } = span;
  const mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
  if (mixed || Math.abs(nanos) >= 1e9 || Math.abs(seconds) > SPAN_SECONDS_MAX) return undefined;
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanos);
}

/** About 292 years, which is as long as SwarmKit's peers can count. */
const SPAN_SECONDS_MAX = 9_223_372_036;

/** A span that must not be negative; `text` says so. */
export function* notNegative(path: Path, span: Duration | undefined, text: string): Problems {
  if (span === undefined) return;
  const nanos = spanNanos(span);
  if (nanos === undefined) yield malformedSpan(path, span);
  else if (nanos < 0n) yield invalid(path, text);
}

/** A span whose parts contradict each other or are too large. */
export function malformedSpan(path: Path, { seconds, nanos }: Duration): Problem {
  return invalid(
    path,
    `${path.join('.')} is no valid duration: ${seconds} s and ${nanos} ns. ` +
      'Both must have one sign, nanoseconds stay below a second, and the whole below 292 years',
  );
}
