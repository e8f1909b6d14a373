/**
 * When things run: the turns of the event loop and the passing of time. Processes wire the real ones,
 * the simulation its virtual time.
 */

/** Takes a call back that has not begun; harmless afterwards. */
export type Cancel = () => void;

export type Turns = {
  /** Runs `run` when what runs now has ended, in this turn of the event loop. */
  readonly afterThis: (run: () => void) => void;
  /** Runs `run` in a later turn of the event loop. */
  readonly soon: (run: () => void) => Cancel;
  /** Runs `run` every `periodMs` milliseconds. */
  readonly every: (periodMs: number, run: () => void) => Cancel;
};

export const REAL_TURNS: Turns = {
  afterThis: (run) => process.nextTick(run),
  soon: (run) => {
    const immediate = setImmediate(run);
    return () => clearImmediate(immediate);
  },
  every: (periodMs, run) => {
    const timer = setInterval(run, periodMs);
    return () => clearInterval(timer);
  },
};
