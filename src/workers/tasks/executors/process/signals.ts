/** Signals to processes and groups that may be gone meanwhile. */
import { constants } from 'node:os';
import { FatalError } from '../errors.ts';

/** Sends a signal; a negative id means a process group. Returns false when nobody is there. */
export function signal(pid: number, name: number | NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ESRCH') return false;
    throw error;
  }
}

/** A stop signal as a spec has it: `SIGUSR1`, `USR1`, `10`; SIGTERM for none. */
export function stopSignal(text: string): number {
  if (text === '') return constants.signals.SIGTERM;
  const name = text.toUpperCase().replace(/^(?!SIG)/, 'SIG');
  const found = Object.entries(constants.signals).find(
    ([each, number]) => each === name || String(number) === text,
  );
  if (found === undefined) throw new FatalError(`unknown stop signal: ${text}`);
  return found[1];
}
