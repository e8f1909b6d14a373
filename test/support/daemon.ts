/** One `skein manager` or `skein worker` process, which a test may kill and start again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { Undo } from './undo.ts';

const ENTRY = fileURLToPath(new URL('../../bin/skein.ts', import.meta.url));

/** How much of a log stands in the text of a failure. */
const TAIL_LINES = 30;

export type DaemonOptions = {
  /** For texts of failures. */
  readonly name: string;
  readonly args: readonly string[];
  /** Both outputs of every run, one after the other. */
  readonly logFile: string;
  /** Set in the environment of the process, and so of its children. */
  readonly env?: Readonly<Record<string, string>>;
  readonly undo: Undo;
};

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null };

export class Daemon {
  readonly #options: DaemonOptions;
  #child: ChildProcess | undefined;
  #ended: Promise<Ended> = Promise.resolve({ code: 0, signal: null });

  constructor(options: DaemonOptions) {
    this.#options = options;
    options.undo.add(`end ${options.name}`, () => this.#child?.kill('SIGKILL'));
  }

  get name(): string {
    return this.#options.name;
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Starts the process; whether it serves has to be asked elsewhere. */
  start(): void {
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const { args, logFile, env } = this.#options;
    const log = openSync(logFile, 'a');
    const child = spawn(process.execPath, [ENTRY, ...args], {
      stdio: ['ignore', log, log],
      env: { ...process.env, ...env },
    });
    closeSync(log);
    this.#child = child;
    this.#ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code, signal) => resolve({ code, signal }));
    });
  }

  /** How the process ended, once it has. */
  get ended(): Promise<Ended> {
    return this.#ended;
  }

  /** Kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  /** Asks the process to end, leaving its tasks; resolves with how it did. */
  async stop(): Promise<Ended> {
    this.#child?.kill('SIGTERM');
    return this.#ended;
  }

  /** The last lines that it wrote, under its name. */
  tail(): string {
    const lines = readFileSync(this.#options.logFile, 'utf8').trimEnd().split('\n');
    const state = this.isRunning ? 'runs' : 'has ended';
    return [`-- ${this.name} ${state}:`, ...lines.slice(-TAIL_LINES)].join('\n');
  }
}
