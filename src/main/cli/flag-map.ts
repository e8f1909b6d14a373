/** Values of flags: what is wrong with one names its flag. */
import { CommandError, ExitCode } from './command-error.ts';
import { mapOf } from './syntax/fields.ts';
import { SyntaxProblem } from './syntax/problem.ts';

/** What `read` gives. @throws CommandError for a value that is not right */
export function forFlag<T>(flag: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    throw new CommandError(`--${flag}: ${error.message}`, ExitCode.USAGE);
  }
}

/** Many `NAME=VALUE` of one flag. */
export function flagMap(flag: string, texts: readonly string[]): Readonly<Record<string, string>> {
  return forFlag(flag, () => mapOf(texts));
}
