/**
 * What a benchmark is to the suite: a file in `bench/` that exports `bench`, listed in
 * `bench/kit/list.ts`. It checks its results before it times them, and hands what it measured to the
 * session, which prints it and writes it as JSON lines.
 */

/** How much is to be done: a second or so, for a check that nothing rots; a minute; everything. */
export type Size = 'tiny' | 'short' | 'full';

/** The bound that a figure is meant to keep. */
export type Goal = { readonly atLeast: number } | { readonly atMost: number };

/** What identifies a figure, and how to read it. */
export type Label = {
  readonly scenario: string;
  /** Who was measured. */
  readonly side: string;
  /** What was measured, such as `wall` or `cpu`. */
  readonly metric: string;
  readonly unit: string;
  readonly better: 'more' | 'less';
  readonly goal?: Goal | undefined;
};

/** One round: does what is timed. @returns how many things it did, checked */
export type Round = () => number | Promise<number>;

/** One of the ways that are compared. */
export type Side = {
  readonly name: string;
  /** Makes a round ready, untimed. */
  readonly prepare: () => Round | Promise<Round>;
  /** Bound on things a second of processor time. */
  readonly goal?: Goal | undefined;
};

export type Comparison = {
  readonly scenario: string;
  /** What is counted, in the plural, such as `decisions`. */
  readonly things: string;
  /** Rounds that count; one more is run before. */
  readonly rounds: number;
  /** Whether the processor time of this thread says something; false where others do the work. */
  readonly countsCpu?: boolean;
};

export type Session = {
  readonly size: Size;
  /** What followed the benchmark's name on the command line. */
  readonly args: readonly string[];
  /** One of three values, by the size of the run. */
  readonly pick: <T>(bySize: { readonly tiny: T; readonly short: T; readonly full: T }) => T;
  /** Runs all sides in turn, round by round, and records how many things a second each did. */
  readonly compare: (comparison: Comparison, sides: readonly Side[]) => Promise<void>;
  /** Records values that the benchmark measured itself. */
  readonly record: (label: Label, samples: readonly number[]) => void;
  /** Prints a line for who watches. */
  readonly note: (text: string) => void;
};

export type Bench = {
  readonly about: string;
  /** Variables of the environment that the benchmark's process is started with, beside its own. */
  readonly environment?: Readonly<Record<string, string>>;
  readonly run: (session: Session) => Promise<void>;
};
