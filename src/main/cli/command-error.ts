/** How commands fail: what is wrong, where, and what to do, with an exit code that scripts can use. */

/** Exit codes besides 0, which means done. */
export const ExitCode = {
  /** The command failed. */
  FAILED: 1,
  /** The command line itself is wrong. */
  USAGE: 2,
  /** Not there in time: the wait ended before the service converged. */
  TIMEOUT: 3,
  /** The update was paused after failures. */
  PAUSED: 4,
  /** The update was rolled back. */
  ROLLED_BACK: 5,
  /** The wait was interrupted; what was asked for goes on. */
  INTERRUPTED: 130,
} as const;
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];

export class CommandError extends Error {
  override readonly name = 'CommandError';
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = ExitCode.FAILED) {
    super(message);
    this.exitCode = exitCode;
  }
}
