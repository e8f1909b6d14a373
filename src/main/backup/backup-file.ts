/**
 * A backup on a disk: written under another name until it is whole and durable, and read only as a
 * whole. It holds the key of the cluster's root and every secret, so it is for its user alone.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { type FileHandle, link, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { BackupEnd, BackupHeader, BackupSeal } from '../../shared/wire/gen/operations.ts';
import { syncDirectory } from '../kit/directories.ts';
import {
  assertEnds,
  BackupError,
  type BackupRecord,
  FIRST_LINE,
  readRecords,
  RecordKind,
  RecordWriter,
  type Source,
} from './records.ts';
import { newSeal, Sealer } from './seal.ts';

export type BackupContent = {
  readonly header: BackupHeader;
  /** Bodies of `StoreSnapshot`. */
  readonly pieces: AsyncIterable<Uint8Array>;
};

export type WriteOptions = {
  /** Seals the pieces. */
  readonly passphrase?: Uint8Array | undefined;
  /** Replaces a file that is there. */
  readonly overwrite?: boolean;
};

/**
 * Writes a backup; resolves with the bytes of the file when it would survive a power cut.
 * @throws Error with code EEXIST when the file is there already
 */
export async function writeBackup(
  path: string,
  content: BackupContent,
  { passphrase, overwrite = false }: WriteOptions = {},
): Promise<number> {
  const temporary = `${path}.${process.pid}.part`;
  try {
    const file = await open(temporary, 'wx', 0o600);
    let bytes: number;
    try {
      bytes = await writeContent(file, content, passphrase);
      await file.sync();
    } finally {
      await file.close();
    }
    // A link, other than a rename, never replaces anything.
    if (overwrite) await rename(temporary, path);
    else await link(temporary, path);
    await syncDirectory(dirname(path));
    return bytes;
  } finally {
    await rm(temporary, { force: true });
  }
}

async function writeContent(
  file: FileHandle,
  { header, pieces }: BackupContent,
  passphrase: Uint8Array | undefined,
): Promise<number> {
  const writer = new RecordWriter();
  let total = 0;
  const put = async (parts: readonly Uint8Array[]): Promise<void> => {
    const bytes = Buffer.concat(parts);
    await file.writeFile(bytes);
    total += bytes.length;
  };
  await put([FIRST_LINE]);
  await put(writer.record(RecordKind.HEADER, BackupHeader.encode(header)));
  const seal = passphrase && newSeal();
  if (seal) await put(writer.record(RecordKind.SEAL, BackupSeal.encode(seal)));
  const sealer = passphrase && seal && new Sealer(passphrase, seal);
  const sealed = (plain: Uint8Array): Uint8Array => sealer?.seal(plain, writer.before) ?? plain;
  const end = { pieces: 0, bytes: 0 };
  for await (const piece of pieces) {
    await put(writer.record(RecordKind.PIECE, sealed(piece)));
    end.pieces += 1;
    end.bytes += piece.length;
  }
  await put(writer.record(RecordKind.END, sealed(BackupEnd.encode(end))));
  return total;
}

/** The bytes of an open file, from its beginning. */
function sourceOf(fd: number, size: number): Source {
  let position = 0;
  return {
    size,
    read: (bytes) => {
      const buffer = Buffer.alloc(bytes);
      let filled = 0;
      while (filled < bytes) {
        const read = readSync(fd, buffer, filled, bytes - filled, position);
        if (read === 0) break;
        filled += read;
        position += read;
      }
      return buffer.subarray(0, filled);
    },
  };
}

/** A backup that is there; reading it blocks the thread, which does nothing else. */
export class BackupFile implements Disposable {
  readonly header: BackupHeader;
  readonly #fd: number;
  readonly #size: number;
  readonly #sealer: Sealer | undefined;

  /**
   * @throws BackupError when its beginning is that of no backup, or its passphrase is missing; the
   * system's errors when it cannot be read
   */
  constructor(path: string, passphrase?: Uint8Array) {
    this.#fd = openSync(path, 'r');
    try {
      this.#size = fstatSync(this.#fd).size;
      const [first, second] = this.#beginning();
      if (first?.kind !== RecordKind.HEADER) throw new BackupError('does not begin with a header');
      this.header = BackupHeader.decode(first.payload);
      if (second?.kind === RecordKind.SEAL) {
        if (passphrase === undefined) throw new PassphraseMissingError();
        this.#sealer = new Sealer(passphrase, BackupSeal.decode(second.payload));
      }
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  get isSealed(): boolean {
    return this.#sealer !== undefined;
  }

  /**
   * The pieces, from the first one on. What was read is right, and whoever reads to the end knows that
   * nothing is missing.
   * @throws BackupError
   */
  *pieces(): Generator<Buffer, void> {
    const source = sourceOf(this.#fd, this.#size);
    const seen = { pieces: 0, bytes: 0 };
    for (const record of readRecords(source)) {
      if (record.kind === RecordKind.PIECE) {
        const piece = this.#open(record);
        seen.pieces += 1;
        seen.bytes += piece.length;
        yield piece;
      }
      if (record.kind !== RecordKind.END) continue;
      const end = BackupEnd.decode(this.#open(record));
      const whole = end.pieces === seen.pieces && end.bytes === seen.bytes;
      if (!whole) throw new BackupError('is damaged: pieces are missing');
      assertEnds(source);
      return;
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #beginning(): BackupRecord[] {
    const records: BackupRecord[] = [];
    for (const record of readRecords(sourceOf(this.#fd, this.#size))) {
      records.push(record);
      if (records.length === 2) break;
    }
    return records;
  }

  #open({ payload, before }: BackupRecord): Buffer {
    return this.#sealer === undefined ? payload : this.#sealer.open(payload, before);
  }
}

/** The file is sealed, and nothing was given to open it with. */
export class PassphraseMissingError extends BackupError {
  constructor() {
    super('is sealed with a passphrase: name the file that holds it with --passphrase-file');
  }
}
