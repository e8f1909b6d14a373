/**
 * The form of a backup file: a line that says what it is, then records. Behind each record stands a
 * checksum of it and of all before it, so that nothing can be changed, moved or left out unseen.
 */
import { createHash } from 'node:crypto';

/** The format that this version writes and reads. */
const FORMAT = 1;
/** The first line of the file. */
const NAME = 'skein backup ';
export const FIRST_LINE = Buffer.from(`${NAME}${FORMAT}\n`);

export const RecordKind = { HEADER: 1, SEAL: 2, PIECE: 3, END: 4 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

export type BackupRecord = {
  /** One of `RecordKind`, in a file that was written well. */
  readonly kind: number;
  readonly payload: Buffer;
  /** The checksum of all before the record. */
  readonly before: Buffer;
};

/** What a file is not, or where it is damaged; to be put behind its name. */
export class BackupError extends Error {
  override readonly name = 'BackupError';
}

const HEAD_BYTES = 5;
const CHECK_BYTES = 32;

const check = (...parts: readonly Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

function headOf(kind: number, length: number): Buffer {
  const head = Buffer.alloc(HEAD_BYTES);
  head.writeUInt8(kind, 0);
  head.writeUInt32LE(length, 1);
  return head;
}

/** Makes the bytes of a file, record by record; they stand behind `FIRST_LINE`. */
export class RecordWriter {
  #check = check(FIRST_LINE);

  /** The checksum of all until now. */
  get before(): Buffer {
    return this.#check;
  }

  /** The record's bytes, in parts. */
  record(kind: RecordKind, payload: Uint8Array): readonly Uint8Array[] {
    const head = headOf(kind, payload.length);
    this.#check = check(this.#check, head, payload);
    return [head, payload, this.#check];
  }
}

/** Bytes of a file, from the first one on. */
export type Source = {
  /** The next bytes; fewer where the file ends. */
  readonly read: (bytes: number) => Buffer;
  /** Bytes of the whole file. */
  readonly size: number;
};

/**
 * The records of a file; whoever stops reading at the end record has read a whole file.
 * @throws BackupError at the first byte that is not as it was written
 */
export function* readRecords(source: Source): Generator<BackupRecord, void> {
  readFirstLine(source);
  let before = check(FIRST_LINE);
  let at = FIRST_LINE.length;
  for (;;) {
    const head = exactly(source, HEAD_BYTES);
    const length = head.readUInt32LE(1);
    if (at + HEAD_BYTES + length + CHECK_BYTES > source.size) throw cutShort(source);
    const payload = exactly(source, length);
    const now = check(before, head, payload);
    if (!now.equals(exactly(source, CHECK_BYTES))) {
      throw new BackupError(`is damaged, in one of the ${length} bytes behind byte ${at}`);
    }
    yield { kind: head.readUInt8(0), payload, before };
    before = now;
    at += HEAD_BYTES + length + CHECK_BYTES;
  }
}

/** @throws BackupError when bytes follow that belong to no backup */
export function assertEnds(source: Source): void {
  if (source.read(1).length > 0) throw new BackupError('is damaged: more follows behind its end');
}

function readFirstLine(source: Source): void {
  const line = source.read(FIRST_LINE.length);
  if (line.equals(FIRST_LINE)) return;
  const text = line.toString('latin1');
  if (!text.startsWith(NAME)) throw new BackupError('is no backup of Skein');
  throw new BackupError(
    `is a backup of format ${JSON.stringify(text.slice(NAME.length).trim())}, and this version reads format ${FORMAT}`,
  );
}

function exactly(source: Source, bytes: number): Buffer {
  const read = source.read(bytes);
  if (read.length < bytes) throw cutShort(source);
  return read;
}

const cutShort = ({ size }: Source): BackupError =>
  new BackupError(
    `is cut short or damaged: it has ${size} bytes, and its last record is not whole`,
  );
