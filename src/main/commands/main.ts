/** The command line from outside: arguments in, exit code out. Errors are one line on stderr. */
import { Errors, run } from '@oclif/core';
import { RpcError } from '../rpc/errors.ts';
import { CommandError } from '../cli/command-error.ts';

/** What a failed command prints, and its exit code. */
function describe(error: unknown): { readonly text: string; readonly code: number } {
  if (error instanceof CommandError) return { text: error.message, code: error.exitCode };
  if (error instanceof RpcError) return { text: error.message, code: 1 };
  if (error instanceof Errors.CLIError) {
    return { text: error.message, code: error.oclif.exit ?? 2 };
  }
  return { text: error instanceof Error ? error.message : String(error), code: 1 };
}

/** Who reads our output may stop reading, as `head` does: that is no failure of ours. */
function onLostReader(error: Error): void {
  if (!('code' in error && error.code === 'EPIPE')) throw error;
}

/** Runs the command that `argv` names; gives the exit code. `url` is that of the file in `bin/`. */
export async function main(argv: string[], url: string): Promise<number> {
  for (const stream of [process.stdout, process.stderr]) stream.on('error', onLostReader);
  try {
    await run(argv, url);
    return typeof process.exitCode === 'number' ? process.exitCode : 0;
  } catch (error) {
    if (error instanceof Errors.ExitError) return error.oclif.exit ?? 0;
    const { text, code } = describe(error);
    if (text !== '') process.stderr.write(`Error: ${text}\n`);
    if (process.env['SKEIN_DEBUG'] !== undefined && error instanceof Error) {
      process.stderr.write(`${error.stack}\n`);
    }
    return code;
  }
}
