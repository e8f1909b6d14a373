/** Times and spans of the wire (seconds and nanoseconds) as milliseconds, and back. */
import type { Duration, Timestamp } from '../wire/gen/well-known.ts';

/** The wire form of a point in time given in milliseconds since 1970. */
export function timestampOf(ms: number): Timestamp {
  const seconds = Math.floor(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1_000_000) };
}

/** Milliseconds since 1970; 0 when there is no time. */
export function millisOf(time: Timestamp | undefined): number {
  return time === undefined ? 0 : time.seconds * 1000 + time.nanos / 1_000_000;
}

/** The wire form of a span given in milliseconds, which may be negative. */
export function durationOf(ms: number): Duration {
  const seconds = Math.trunc(ms / 1000);
  return { seconds, nanos: Math.round((ms - seconds * 1000) * 1_000_000) };
}

/** The span in milliseconds; `missing` when there is none. */
export function durationMs(span: Duration | undefined, missing = 0): number {
  return span === undefined ? missing : span.seconds * 1000 + span.nanos / 1_000_000;
}
