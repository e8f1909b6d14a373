/** One `skein manager` or `skein worker` process, which a test may kill and start again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { Undo } from './undo.ts';

const ENTRY = fileURLToPath(new URL('../../bin/skein.ts', import.meta.url));

/** How much of a log stands in the text of a failure. */
const TAIL_LINES = 30;

export type DaemonOptions = {
  /** For texts of failures. */
  readonly name: string;
  readonly args: readonly string[];
  /** Stands before the command, such as `nsenter --net=…`; it must execute it in its own place. */
  readonly prefix?: readonly string[];
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

  /** Of the process that runs now, or ran last. */
  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`${this.name} never ran`);
    return pid;
  }

  get isRunning(): boolean {
    const child = this.#child;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** Starts the process; whether it serves has to be asked elsewhere. */
  start(): void {
    if (this.isRunning) throw new Error(`${this.name} runs already`);
    const { args, logFile, env, prefix = [] } = this.#options;
    const log = openSync(logFile, 'a');
    const [program = process.execPath, ...rest] = [...prefix, process.execPath, ENTRY, ...args];
    const child = spawn(program, rest, {
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

  /** Sends a signal, and does not wait for what comes of it. */
  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Kill -9; resolves when the process is gone. */
  async kill(): Promise<void> {
    this.#child?.kill('SIGKILL');
    await this.#ended;
  }

  /** Stands still until {@link thaw}: its connections stay open, and its time passes unnoticed. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  /** Asks the process to end, leaving its tasks; resolves with how it did. */
  async stop(): Promise<Ended> {
    this.#child?.kill('SIGTERM');
    return this.#ended;
  }

  /**
   * Resolves as soon as the process has written a text, which it had not when this was called; false
   * when it ended, or `timeoutMs` went by, before.
   */
  async says(text: string, timeoutMs: number): Promise<boolean> {
    const { logFile } = this.#options;
    const from = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
    const giveUpMs = performance.now() + timeoutMs;
    let said = '';
    while (this.isRunning && performance.now() < giveUpMs) {
      said += textFrom(logFile, from + Buffer.byteLength(said));
      if (said.includes(text)) return true;
      await sleep(1);
    }
    return false;
  }

  /** The last lines that it wrote, under its name. */
  tail(): string {
    const lines = readFileSync(this.#options.logFile, 'utf8').trimEnd().split('\n');
    const state = this.isRunning ? 'runs' : 'has ended';
    return [`-- ${this.name} ${state}:`, ...lines.slice(-TAIL_LINES)].join('\n');
  }
}

/** What stands in a file from a position on. */
function textFrom(path: string, position: number): string {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(1 << 16);
    return buffer.toString('utf8', 0, readSync(file, buffer, 0, buffer.length, position));
  } finally {
    closeSync(file);
  }
}
