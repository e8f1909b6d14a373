/**
 * What a decision may not take from the outside by itself: time, luck and fresh ids. Processes wire
 * the real ones (`src/main/env.ts`), tests and the simulation a seed.
 */
export type Env = {
  /** Wall-clock time in milliseconds since 1970. */
  readonly nowMs: () => number;
  /** A whole number from 0 up to, not including, `limit`. */
  readonly randBelow: (limit: number) => number;
  /** A fresh object id: 25 lower-case base-36 characters. */
  readonly newId: () => string;
};
