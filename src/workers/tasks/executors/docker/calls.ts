/** Calls to the engine, with its errors in the tasks engine's terms. */
import type { Cancellation } from '../cancellation.ts';
import { CancelledError, FatalError, TemporaryError } from '../errors.ts';

/** What the engine answered to a call that it refused. */
export class EngineError extends FatalError {
  readonly statusCode: number;

  constructor(message: string, statusCode: number) {
    super(message);
    this.statusCode = statusCode;
  }
}

/** Connection errors: the engine is away, perhaps only for now. */
const AWAY = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EAGAIN',
  'ERR_STREAM_PREMATURE_CLOSE',
]);

/**
 * Makes a call.
 *
 * @throws CancelledError, TemporaryError when the engine does not answer, EngineError when it refuses
 */
export async function call<T>(make: () => Promise<T>, cancellation?: Cancellation): Promise<T> {
  const cancelled = (): boolean => cancellation?.cancelled ?? false;
  if (cancelled()) throw new CancelledError();
  try {
    return await make();
  } catch (error) {
    if (cancelled()) throw new CancelledError();
    throw engineError(error);
  }
}

/** The same, for a call whose object may not be there. */
export async function callOptional<T>(
  make: () => Promise<T>,
  cancellation?: Cancellation,
): Promise<T | undefined> {
  return ignoring([404], call(make, cancellation));
}

/** What is awaited; undefined when the engine refuses with one of these status codes. */
export async function ignoring<T>(
  codes: readonly number[],
  awaited: Promise<T>,
): Promise<T | undefined> {
  try {
    return await awaited;
  } catch (error) {
    if (error instanceof EngineError && codes.includes(error.statusCode)) return undefined;
    throw error;
  }
}

function engineError(error: unknown): unknown {
  if (!(error instanceof Error)) return new FatalError(String(error));
  const { code, statusCode } = fields(error);
  if (statusCode !== undefined) {
    const text = error.message.replace(/^\(HTTP code \d+\) [^-]*- /, '').trim();
    return /removal of container \w+ is already in progress/.test(text)
      ? new TemporaryError(text)
      : new EngineError(text, statusCode);
  }
  if ((code !== undefined && AWAY.has(code)) || error.message === 'socket hang up') {
    return new TemporaryError(`Cannot connect to the Docker Engine: ${error.message}`, {
      cause: error,
    });
  }
  return error;
}

function fields(error: Error): {
  readonly code: string | undefined;
  readonly statusCode: number | undefined;
} {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const statusCode =
    'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : undefined;
  return { code, statusCode };
}
