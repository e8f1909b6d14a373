/** How an operation of a controller fails, and what the task machine makes of each. */
import type { Outcome } from '../core/decide.ts';

/** The operation was cancelled, and left the task as it was. */
export class CancelledError extends Error {
  override readonly name = 'CancelledError';

  constructor() {
    super('cancelled');
  }
}

/** May pass by itself: the operation is to be tried again. */
export class TemporaryError extends Error {
  override readonly name = 'TemporaryError';
}

/** The task ended by itself. */
export class ExitError extends Error {
  override readonly name = 'ExitError';
  readonly exitCode: number;

  /** @param reason what is known besides the code, e.g. that memory ran out */
  constructor(exitCode: number, reason = '') {
    super(`task: non-zero exit (${exitCode})${reason === '' ? '' : `: ${reason}`}`);
    this.exitCode = exitCode;
  }
}

/** Cannot succeed; the message is for the task's owner. */
export class FatalError extends Error {
  override readonly name = 'FatalError';
  readonly exitCode: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = options.exitCode;
  }
}

export function outcomeOf(error: unknown): Outcome {
  if (error instanceof CancelledError) return { kind: 'cancelled' };
  if (error instanceof TemporaryError) return { kind: 'temporary', text: error.message };
  const text = error instanceof Error ? error.message : String(error);
  const exitCode =
    error instanceof ExitError || error instanceof FatalError ? error.exitCode : undefined;
  return { kind: 'fatal', text, exitCode };
}
