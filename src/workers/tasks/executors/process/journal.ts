/**
 * The log of one task: lines with their time and stream in two files of bounded size. When the newer
 * is full it becomes the older, and the old one goes.
 *
 * A line of the file: `2026-01-02T03:04:05.678Z stdout text`.
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  openSync,
  readSync,
  renameSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { timestampOf } from '../../../../shared/model/time.ts';
import type { LogOptions, LogRecord } from '../executor.ts';

/** Most bytes of each of the two files. */
const FILE_BYTES_MAX = 5 << 20;
const CHUNK_BYTES = 1 << 16;

type Stream = LogRecord['stream'];

export class Journal {
  readonly #newer: string;
  readonly #older: string;
  readonly #fileBytesMax: number;
  #sizeBytes: number;
  /** How often the files were exchanged. */
  #turn = 0;
  #finished = false;
  #changed = Promise.withResolvers<void>();

  constructor(directory: string, fileBytesMax: number = FILE_BYTES_MAX) {
    this.#newer = join(directory, 'log');
    this.#older = join(directory, 'log.1');
    this.#fileBytesMax = fileBytesMax;
    this.#sizeBytes = existsSync(this.#newer) ? statSync(this.#newer).size : 0;
  }

  /** Adds lines, all of this moment. */
  append(stream: Stream, lines: readonly Uint8Array[], nowMs: number): void {
    if (lines.length === 0) return;
    const head = Buffer.from(`${new Date(nowMs).toISOString()} ${stream} `);
    const end = Buffer.from('\n');
    const bytes = Buffer.concat(lines.flatMap((line) => [head, line, end]));
    appendFileSync(this.#newer, bytes, { mode: 0o600 });
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes > this.#fileBytesMax) {
      renameSync(this.#newer, this.#older);
      this.#sizeBytes = 0;
      this.#turn += 1;
    }
    this.#change();
  }

  /** Nothing more will come: those who follow get to their end. */
  finish(): void {
    this.#finished = true;
    this.#change();
  }

  async *read(options: LogOptions, signal: AbortSignal): AsyncGenerator<LogRecord> {
    const wanted = (record: LogRecord): boolean =>
      options[record.stream] && millisOfRecord(record) >= options.sinceMs;
    const turn = this.#turn;
    const older = existsSync(this.#older) ? new LineReader(this.#older) : undefined;
    let newer = new LineReader(this.#newer);
    try {
      const past = [...(older?.records() ?? []), ...newer.records()].filter(wanted);
      yield* options.tail === 'all' ? past : past.slice(past.length - options.tail);
      if (!options.follow) return;
      for (let seen = turn; !signal.aborted;) {
        const changed = this.#changed.promise;
        yield* newer.records().filter(wanted);
        if (seen !== this.#turn) {
          newer.close();
          newer = new LineReader(this.#newer);
          seen = this.#turn;
          continue;
        }
        if (this.#finished) return;
        await Promise.race([changed, aborted(signal)]);
      }
    } finally {
      older?.close();
      newer.close();
    }
  }

  #change(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

/** Reads a file's lines as far as they go, and on from there the next time. */
class LineReader {
  readonly #path: string;
  #file: number | undefined;
  #rest: Buffer = Buffer.alloc(0);

  constructor(path: string) {
    this.#path = path;
    this.#open();
  }

  *records(): Generator<LogRecord> {
    this.#open();
    if (this.#file === undefined) return;
    const chunk = Buffer.alloc(CHUNK_BYTES);
    for (;;) {
      const count = readSync(this.#file, chunk, 0, CHUNK_BYTES, null);
      if (count === 0) return;
      const bytes = Buffer.concat([this.#rest, chunk.subarray(0, count)]);
      let at = 0;
      for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, at)) {
        yield recordOf(bytes.subarray(at, end));
        at = end + 1;
      }
      this.#rest = bytes.subarray(at);
    }
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #open(): void {
    if (this.#file === undefined && existsSync(this.#path)) this.#file = openSync(this.#path, 'r');
  }
}

function recordOf(line: Buffer): LogRecord {
  const afterTime = line.indexOf(0x20);
  const afterStream = line.indexOf(0x20, afterTime + 1);
  const stream = line.toString('latin1', afterTime + 1, afterStream);
  return {
    stream: stream === 'stderr' ? 'stderr' : 'stdout',
    timestamp: timestampOf(Date.parse(line.toString('latin1', 0, afterTime))),
    data: Uint8Array.from(line.subarray(afterStream + 1)),
  };
}

function millisOfRecord({ timestamp }: LogRecord): number {
  return timestamp.seconds * 1000 + timestamp.nanos / 1e6;
}

async function aborted(signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
