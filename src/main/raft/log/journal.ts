/**
 * What was saved since the database was last written: one synced write a save, into space that was
 * there before, and so about as fast as the disk can be.
 *
 * The file is written from its beginning again whenever the database has everything. Records are
 * numbered without end and carry a checksum: where the next number does not stand whole, the journal
 * ends. One write is under way at a time, so only the last record can be torn.
 */
import assert from 'node:assert/strict';
import {
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  openSync,
  readFileSync,
  write,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';

/** Size of the file, all of which is written when it is made. */
export const JOURNAL_BYTES = 8 * 1024 * 1024;

/** Checksum of all that follows, length of what follows the head, number. */
const HEAD_BYTES = 16;

/** Up to where a journal's records are stored elsewhere too. */
export type JournalMark = {
  /** Number of the last such record. */
  readonly number: number;
  /** Where the next one begins. */
  readonly offset: number;
};

export const JOURNAL_START: JournalMark = { number: 0, offset: 0 };

/** A record in the middle of the journal is unreadable. */
export class JournalError extends Error {
  override readonly name = 'JournalError';
}

export class Journal {
  readonly #path: string;
  #file: number | undefined;
  #number = 0;
  #offset = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** Makes the file anew, empty. */
  create(): void {
    const file = openSync(this.#path, 'w', 0o600);
    try {
      writeSync(file, Buffer.alloc(JOURNAL_BYTES));
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    const directory = openSync(dirname(this.#path), 'r');
    try {
      fsyncSync(directory);
    } finally {
      closeSync(directory);
    }
  }

  /**
   * Opens the file, to be written on after its last record.
   * @returns the contents of the records after `mark`
   * @throws JournalError when the file is gone or damaged
   */
  open(mark: JournalMark): Buffer[] {
    if (!existsSync(this.#path)) throw new JournalError(`${this.#path} is gone`);
    const bytes = readFileSync(this.#path);
    const contents: Buffer[] = [];
    let { number, offset } = mark;
    for (;;) {
      const content = recordAt(bytes, offset, number + 1);
      if (content === undefined) break;
      contents.push(content);
      number += 1;
      offset += HEAD_BYTES + content.length;
    }
    this.#checkEnd(bytes, offset, number + 1);
    this.#number = number;
    this.#offset = offset;
    this.#file = openSync(this.#path, constants.O_WRONLY | constants.O_DSYNC);
    return contents;
  }

  /** That no whole record follows the one that is not: what was torn was the last one. */
  #checkEnd(bytes: Buffer, offset: number, number: number): void {
    if (offset + HEAD_BYTES > bytes.length) return;
    const next = offset + HEAD_BYTES + bytes.readUInt32LE(offset + 4);
    if (recordAt(bytes, next, number + 1) !== undefined) {
      throw new JournalError(`${this.#path} is damaged at ${offset}`);
    }
  }

  /** Where it ends. */
  get mark(): JournalMark {
    return { number: this.#number, offset: this.#offset };
  }

  fits(bytes: number): boolean {
    return this.#offset + HEAD_BYTES + bytes <= JOURNAL_BYTES;
  }

  /** Adds a record, which fits. Resolves when it is durable. One at a time. */
  append(parts: readonly Uint8Array[]): Promise<void> {
    const record = Buffer.concat([Buffer.allocUnsafe(HEAD_BYTES), ...parts]);
    assert(this.fits(record.length - HEAD_BYTES), 'a record that does not fit');
    record.writeUInt32LE(record.length - HEAD_BYTES, 4);
    record.writeDoubleLE((this.#number += 1), 8);
    record.writeUInt32LE(crc32(record.subarray(4)), 0);
    const at = this.#offset;
    this.#offset += record.length;
    return this.#write(record, at);
  }

  /** Goes on at the beginning: all that was written is stored elsewhere, with this mark. */
  rewind(): JournalMark {
    this.#offset = 0;
    return this.mark;
  }

  close(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  #write(record: Buffer, at: number): Promise<void> {
    const file = this.#file;
    assert(file !== undefined, 'the journal is not open');
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const from = (done: number): void =>
      write(file, record, done, record.length - done, at + done, (error, written) => {
        if (error !== null) reject(error);
        else if (done + written < record.length) from(done + written);
        else resolve();
      });
    from(0);
    return promise;
  }
}

/** What the record of this number holds; undefined when it does not stand whole at `offset`. */
function recordAt(bytes: Buffer, offset: number, number: number): Buffer | undefined {
  const body = offset + HEAD_BYTES;
  if (body > bytes.length) return undefined;
  const end = body + bytes.readUInt32LE(offset + 4);
  if (end > bytes.length || bytes.readDoubleLE(offset + 8) !== number) return undefined;
  const sound = crc32(bytes.subarray(offset + 4, end)) === bytes.readUInt32LE(offset);
  return sound ? bytes.subarray(body, end) : undefined;
}
