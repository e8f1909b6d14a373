/**
 * The output of a process, on its way into the journal. The process writes to files of its own, so
 * that it does not notice when the worker dies; the worker takes what has come, and cuts the files
 * when they have grown. Where it stopped is remembered beside them.
 *
 * A cut can lose what is written in the few microseconds between the last look and the cut.
 */
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  readSync,
  watch,
  writeFileSync,
  type FSWatcher,
} from 'node:fs';
import { join } from 'node:path';
import type { LogRecord } from '../executor.ts';
import type { Journal } from './journal.ts';

/** From this size on a file that was read to its end is cut. */
const CUT_BYTES = 1 << 20;
/** More than this unread is too much: the oldest is left out. */
const UNREAD_BYTES_MAX = 16 << 20;
/** Longer lines are told in pieces. */
const LINE_BYTES_MAX = 16_384;
const CHUNK_BYTES = 1 << 18;
/** Output is gathered for this long. */
const GATHER_MS = 50;

const STREAMS = ['stdout', 'stderr'] as const;

export class Output {
  readonly #directory: string;
  readonly #journal: Journal;
  #watcher: FSWatcher | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(taskDirectory: string, journal: Journal) {
    this.#directory = join(taskDirectory, 'output');
    this.#journal = journal;
  }

  /** Opens the two files for a process to write to; the caller closes them. */
  open(): [stdout: number, stderr: number] {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const [out, error] = STREAMS.map((name) => openSync(this.#path(name), 'a', 0o600));
    return [out ?? -1, error ?? -1];
  }

  /** Takes what comes from now on, and what has come before. */
  collect(): void {
    if (this.#watcher !== undefined || !existsSync(this.#directory)) return;
    this.#watcher = watch(this.#directory, () => this.#soon());
    // When the directory goes, the task does.
    this.#watcher.on('error', () => this.stop());
    this.#soon();
  }

  /** Takes what has come by now, in whole lines. */
  takeNow(): void {
    if (!existsSync(this.#directory)) return;
    for (const stream of STREAMS) this.#drain(stream, false);
  }

  /** The process has ended: takes the rest, also of a line without end. */
  finish(): void {
    this.stop();
    if (existsSync(this.#directory)) for (const stream of STREAMS) this.#drain(stream, true);
    this.#journal.finish();
  }

  /** Takes no more for now. */
  stop(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #soon(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.takeNow();
    }, GATHER_MS);
  }

  #path(stream: LogRecord['stream']): string {
    return join(this.#directory, stream);
  }

  #drain(stream: LogRecord['stream'], toTheEnd: boolean): void {
    if (!existsSync(this.#path(stream))) return;
    const file = openSync(this.#path(stream), 'r+');
    try {
      const before = this.#position(stream);
      const after = this.#take(file, stream, before, toTheEnd);
      if (after !== before) this.#remember(stream, after);
      if (after < CUT_BYTES || fstatSync(file).size !== after) return;
      ftruncateSync(file, 0);
      this.#remember(stream, 0);
    } finally {
      closeSync(file);
    }
  }

  /** Moves whole lines into the journal; returns how far it came. */
  #take(file: number, stream: LogRecord['stream'], from: number, toTheEnd: boolean): number {
    let at = this.#skip(file, stream, from);
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const count = readSync(file, chunk, 0, CHUNK_BYTES, at);
      const { lines, usedBytes } = cut(chunk.subarray(0, count), toTheEnd && count < CHUNK_BYTES);
      this.#journal.append(stream, lines, Date.now());
      at += usedBytes;
      if (count < CHUNK_BYTES) return at;
    }
  }

  /** Leaves out what is too much, and says so in the log. */
  #skip(file: number, stream: LogRecord['stream'], from: number): number {
    const { size } = fstatSync(file);
    if (size - from <= UNREAD_BYTES_MAX) return Math.min(from, size);
    const to = size - UNREAD_BYTES_MAX;
    const note = Buffer.from(`[skein: ${to - from} bytes of output were left out]`);
    this.#journal.append(stream, [note], Date.now());
    return to;
  }

  #position(stream: LogRecord['stream']): number {
    const path = `${this.#path(stream)}.read`;
    return existsSync(path) ? Number(readFileSync(path, 'utf8')) : 0;
  }

  #remember(stream: LogRecord['stream'], position: number): void {
    writeFileSync(`${this.#path(stream)}.read`, String(position), { mode: 0o600 });
  }
}

/** Cuts bytes into lines without their ends; what follows the last end is kept for later. */
function cut(
  bytes: Buffer,
  toTheEnd: boolean,
): { readonly lines: Buffer[]; readonly usedBytes: number } {
  const lines: Buffer[] = [];
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(0x0a, at);
    const lineEnd = end < 0 ? bytes.length : end;
    if (lineEnd - at > LINE_BYTES_MAX) {
      lines.push(Buffer.from(bytes.subarray(at, at + LINE_BYTES_MAX)));
      at += LINE_BYTES_MAX;
    } else if (end < 0 && !toTheEnd) {
      break;
    } else {
      lines.push(Buffer.from(bytes.subarray(at, lineEnd)));
      at = end < 0 ? lineEnd : end + 1;
    }
  }
  return { lines, usedBytes: at };
}
