/** Skein as its users run it: `skein manager` and `skein worker` in processes of their own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { endProcess } from './run.ts';
import type { Undo } from './undo.ts';

const SKEIN = fileURLToPath(new URL('../../bin/skein', import.meta.url));

export type SkeinOptions = {
  readonly undo: Undo;
  /** Where its log goes, which is appended to. */
  readonly logPath: string;
};

export class SkeinProcess {
  readonly #child: ChildProcess;
  readonly #logPath: string;

  /** Runs `skein ARGUMENTS…`. */
  constructor(args: readonly string[], { undo, logPath }: SkeinOptions) {
    this.#logPath = logPath;
    const log = openSync(logPath, 'a');
    this.#child = spawn(process.execPath, [SKEIN, ...args], { stdio: ['ignore', log, log] });
    closeSync(log);
    undo.add(`end skein ${args[0]}`, () => endProcess(this.pid, 10_000));
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('skein could not be started');
    return this.#child.pid;
  }

  /** What it logged. */
  log(): string {
    return readFileSync(this.#logPath, 'utf8');
  }

  /** Sends the signal; resolves when the process is no more. */
  async kill(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill(signal);
    await gone;
  }
}
