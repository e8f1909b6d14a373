/** The disk itself, without anything of ours: what a durable write costs at least. */
import { closeSync, fdatasyncSync, fsyncSync, openSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The type of a file system in memory, as statfs(2) tells it. */
const TMPFS = 0x0102_1994;
const RECORD_BYTES = 512;
const FILE_BYTES = 4 << 20;

/** A directory on a disk. @throws Error when there is none */
export function onDisk(): string {
  const found = [tmpdir(), process.cwd()].find((path) => statfsSync(path).type !== TMPFS);
  if (found === undefined) throw new Error('set TMPDIR to a directory on a disk');
  return found;
}

/** A file in space that was there before; each write is synced, and blocks until it is durable. */
export class RawFile implements Disposable {
  readonly #file: number;
  readonly #record = Buffer.alloc(RECORD_BYTES, 1);
  #at = 0;

  constructor(directory: string) {
    this.#file = openSync(join(directory, 'raw'), 'w');
    writeSync(this.#file, Buffer.alloc(FILE_BYTES));
    fsyncSync(this.#file);
  }

  /** Milliseconds that it took. */
  sync(): number {
    const startMs = performance.now();
    writeSync(this.#file, this.#record, 0, RECORD_BYTES, this.#at);
    fdatasyncSync(this.#file);
    this.#at = (this.#at + RECORD_BYTES) % FILE_BYTES;
    return performance.now() - startMs;
  }

  [Symbol.dispose](): void {
    closeSync(this.#file);
  }
}
