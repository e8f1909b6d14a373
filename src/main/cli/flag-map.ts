/** Many `NAME=VALUE` of one flag. */
import { CommandError, ExitCode } from './command-error.ts';
import { mapOf } from './syntax/fields.ts';
import { SyntaxProblem } from './syntax/problem.ts';

/** @throws CommandError that names the flag */
export function flagMap(flag: string, texts: readonly string[]): Readonly<Record<string, string>> {
  try {
    return mapOf(texts);
  } catch (error) {
    if (!(error instanceof SyntaxProblem)) throw error;
    throw new CommandError(`--${flag}: ${error.message}`, ExitCode.USAGE);
  }
}
