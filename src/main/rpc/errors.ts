/**
 * The one place where an error becomes a gRPC status, and back.
 *
 * A handler throws an `RpcError` when it knows the code; other parts throw errors of their own whose
 * `code` names a row of `ERROR_CODES`. What is in neither answers Unknown with its text, as a plain
 * Go error does.
 */

import type { StoreErrorCode } from '../store/transaction.ts';

/** gRPC status codes. */
export const Code = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  ABORTED: 10,
  OUT_OF_RANGE: 11,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
  DATA_LOSS: 15,
  UNAUTHENTICATED: 16,
} as const;
export type Code = (typeof Code)[keyof typeof Code];

/** Go's names of the codes, as they stand in texts that quote another status. */
const GO_NAMES: Readonly<Record<Code, string>> = {
  0: 'OK',
  1: 'Canceled',
  2: 'Unknown',
  3: 'InvalidArgument',
  4: 'DeadlineExceeded',
  5: 'NotFound',
  6: 'AlreadyExists',
  7: 'PermissionDenied',
  8: 'ResourceExhausted',
  9: 'FailedPrecondition',
  10: 'Aborted',
  11: 'OutOfRange',
  12: 'Unimplemented',
  13: 'Internal',
  14: 'Unavailable',
  15: 'DataLoss',
  16: 'Unauthenticated',
};

/** A call failed, or is to fail, with this status. */
export class RpcError extends Error {
  override readonly name = 'RpcError';
  readonly code: Code;

  constructor(code: Code, text: string, options?: ErrorOptions) {
    super(text, options);
    this.code = code;
  }

  /** The status as a Go peer prints it when it wraps one error in another. */
  get goText(): string {
    return `rpc error: code = ${GO_NAMES[this.code]} desc = ${this.message}`;
  }
}

/**
 * Which status the errors of other parts become, by their `code`. SwarmKit lets the store's errors
 * through as Unknown with their text, and clients match on it (behaviour rule 2.2); a handler that
 * knows better throws an `RpcError`.
 */
const ERROR_CODES: Readonly<Record<string, Code>> = {
  EXISTS: Code.UNKNOWN,
  NOT_EXIST: Code.UNKNOWN,
  NAME_CONFLICT: Code.UNKNOWN,
  OUT_OF_SEQUENCE: Code.UNKNOWN,
  KIND_UNREGISTERED: Code.UNKNOWN,
  EXTENSION_IMMUTABLE: Code.UNKNOWN,
  EXTENSION_IN_USE: Code.UNKNOWN,
  TOO_LARGE: Code.UNKNOWN,
  LEADERSHIP_LOST: Code.UNKNOWN,
  NOT_LEADER: Code.UNKNOWN,
  OUT_OF_BOUNDS: Code.OUT_OF_RANGE,
} satisfies Record<StoreErrorCode, Code>;

/** Longer texts are cut: they travel in a header, percent-encoded, and headers have a limit. */
const TEXT_LENGTH_MAX = 4096;

function clean(text: string): string {
  const whole = text.length <= TEXT_LENGTH_MAX;
  return (whole ? text : `${text.slice(0, TEXT_LENGTH_MAX - 1)}…`).toWellFormed();
}

/** What goes over the wire for `error`: never throws, and the text is always well-formed. */
export function statusOf(error: unknown): Status {
  if (error instanceof RpcError) {
    return { code: error.code, text: clean(error.message), expected: true };
  }
  const text = clean(error instanceof Error ? error.message : String(error));
  const name = error instanceof Error && 'code' in error ? error.code : undefined;
  const code = typeof name === 'string' ? ERROR_CODES[name] : undefined;
  return { code: code ?? Code.UNKNOWN, text, expected: code !== undefined };
}

/** A status to send; `expected` when the error is of a kind that somebody foresaw. */
export type Status = { readonly code: Code; readonly text: string; readonly expected: boolean };

/** True when `error` is a status with this code. */
export function hasCode(error: unknown, code: Code): error is RpcError {
  return error instanceof RpcError && error.code === code;
}

const isCode = (code: number): code is Code => code in GO_NAMES;

/** A received status as an error; a number that is no code counts as Unknown. */
export function rpcError(code: number, text: string): RpcError {
  return new RpcError(isCode(code) ? code : Code.UNKNOWN, text);
}
