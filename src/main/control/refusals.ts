/** How the control service turns calls down: SwarmKit's codes and words, and where the user went wrong. */
import {
  firstProblem,
  type ProblemCode,
  type Problems,
} from '../../shared/model/checks/problem.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { StoreError, type StoreErrorCode } from '../store/transaction.ts';

const PROBLEM_CODES: Readonly<Record<ProblemCode, Code>> = {
  INVALID_ARGUMENT: Code.INVALID_ARGUMENT,
  PERMISSION_DENIED: Code.PERMISSION_DENIED,
  UNIMPLEMENTED: Code.UNIMPLEMENTED,
  UNKNOWN: Code.UNKNOWN,
};

/** @throws RpcError for the first problem. */
export function refuseProblems(problems: Problems): void {
  const problem = firstProblem(problems);
  if (problem !== undefined) throw new RpcError(PROBLEM_CODES[problem.code], problem.text);
}

export function invalidArgument(text: string): RpcError {
  return new RpcError(Code.INVALID_ARGUMENT, text);
}

export function failedPrecondition(text: string): RpcError {
  return new RpcError(Code.FAILED_PRECONDITION, text);
}

export function unimplemented(text: string): RpcError {
  return new RpcError(Code.UNIMPLEMENTED, text);
}

/** `service abc not found` */
function notFound(kind: string, id: string): RpcError {
  return new RpcError(Code.NOT_FOUND, `${kind} ${id} not found`);
}

/**
 * The part of a request that must be there.
 *
 * @param what names the part, after SwarmKit's `invalid argument`
 * @throws RpcError InvalidArgument when it is missing or empty
 */
export function required<T>(value: T | undefined, what: string): T {
  if (value === undefined || value === '') {
    throw invalidArgument(`invalid argument: ${what} must be provided`);
  }
  return value;
}

/** @throws RpcError NotFound when there is no such object. */
export function found<T>(object: T | undefined, kind: string, id: string): T {
  if (object === undefined) throw notFound(kind, id);
  return object;
}

/** Runs a write of the store, with the call's own words for some of the store's refusals. */
export function inWords<T>(
  words: Readonly<Partial<Record<StoreErrorCode, RpcError>>>,
  fn: () => T,
): T {
  try {
    return fn();
  } catch (error) {
    const said = error instanceof StoreError ? words[error.code] : undefined;
    throw said ?? error;
  }
}
