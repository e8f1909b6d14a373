import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { BackupHeader, BackupSeal } from '../../shared/wire/gen/operations.ts';
import { BackupFile, writeBackup } from './backup-file.ts';
import { BackupError, FIRST_LINE, RecordKind, RecordWriter } from './records.ts';

const PIECES = ['the key of the root', 'a secret', ''].map((text) => Buffer.from(text));
const HEADER = BackupHeader.create({ clusterId: 'cluster1', index: 77, term: 3 });
const PASSPHRASE = Buffer.from('correct horse');

async function* pieces(): AsyncIterable<Uint8Array> {
  yield* PIECES;
}

const content = (): { header: BackupHeader; pieces: AsyncIterable<Uint8Array> } => ({
  header: HEADER,
  pieces: pieces(),
});

async function* failing(): AsyncIterable<Uint8Array> {
  yield Buffer.from('some');
  throw new Error('the manager is gone');
}

const readAll = (file: string, passphrase?: Uint8Array): string[] => {
  using backup = new BackupFile(file, passphrase);
  assert.deepEqual(backup.header, HEADER);
  return [...backup.pieces()].map(String);
};

describe('backup file', () => {
  let directory: string;
  let path: string;
  let sealed: string;
  let scratch: string;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-backup-'));
    path = join(directory, 'plain');
    sealed = join(directory, 'sealed');
    scratch = join(directory, 'scratch');
    await writeBackup(path, content());
    await writeBackup(sealed, content(), { passphrase: PASSPHRASE });
  });
  after(() => rm(directory, { recursive: true }));

  const refused = async (bytes: Uint8Array, words: RegExp, passphrase?: Uint8Array) => {
    await writeFile(scratch, bytes);
    assert.throws(
      () => readAll(scratch, passphrase),
      (error) => {
        assert.ok(error instanceof BackupError, String(error));
        assert.match(error.message, words);
        return true;
      },
    );
  };

  test('[BAK1] it comes back as it was, is for its user alone, and leaves nothing beside it', async () => {
    assert.deepEqual(readAll(path), PIECES.map(String));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(
      (await readdir(directory)).filter((f) => f.startsWith('plain')),
      ['plain'],
    );
  });

  test('[BAK1] a file that is there stays, unless it is to be replaced', async () => {
    const old = join(directory, 'old');
    await writeFile(old, 'something else');
    await assert.rejects(writeBackup(old, content()), { code: 'EEXIST' });
    assert.equal(await readFile(old, 'utf8'), 'something else');
    await writeBackup(old, content(), { overwrite: true });
    assert.equal(readAll(old).length, 3);
  });

  test('[BAK1] a source that fails leaves no file', async () => {
    const target = join(directory, 'failed');
    await assert.rejects(
      writeBackup(target, { header: HEADER, pieces: failing() }),
      /the manager is gone/,
    );
    assert.deepEqual(
      (await readdir(directory)).filter((f) => f.startsWith('failed')),
      [],
    );
  });

  test('[BAK2] a file cut at any byte is refused', async () => {
    const whole = await readFile(path);
    for (let bytes = 0; bytes < whole.length; bytes += 1) {
      const words = bytes < 15 ? /^is (no backup|a backup of format)/ : /^is cut short or damaged/;
      await refused(whole.subarray(0, bytes), words);
    }
    await refused(Buffer.concat([whole, Buffer.from('x')]), /more follows behind its end/);
  });

  test('[BAK2] a file with any bit changed is refused', async () => {
    const whole = await readFile(path);
    for (let bit = 0; bit < whole.length * 8; bit += 1) {
      const changed = Buffer.from(whole);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      await refused(changed, /^is (no backup|a backup of format|damaged|cut short or damaged)/);
    }
  });

  test('[BAK2] the words tell what the file is', async () => {
    await refused(Buffer.from('-----BEGIN CERTIFICATE-----'), /^is no backup of Skein$/);
    const next = Buffer.from('skein backup 2\n and whatever follows');
    await refused(next, /^is a backup of format "2", and this version reads format 1$/);
    const text = await readFile(path);
    const header = FIRST_LINE.length + 5 + text.readUInt32LE(FIRST_LINE.length + 1) + 32;
    // The first piece left out: all that follows is in its place no more.
    const piece = 5 + text.readUInt32LE(header + 1) + 32;
    const without = Buffer.concat([text.subarray(0, header), text.subarray(header + piece)]);
    await refused(without, /^is damaged, in one of the \d+ bytes behind byte \d+$/);
  });

  test('[BAK3] sealed, it opens with its passphrase only', async () => {
    const bytes = await readFile(sealed);
    assert.ok(!bytes.includes('secret'));
    assert.ok((await readFile(path)).includes('secret'));
    assert.deepEqual(readAll(sealed, PASSPHRASE), PIECES.map(String));
    await refused(bytes, /^is sealed with a passphrase: .* --passphrase-file$/);
    await refused(bytes, /^was sealed with another passphrase$/, Buffer.from('incorrect horse'));
  });

  test('[BAK3] sealed too, damage is told as such', async () => {
    const whole = await readFile(sealed);
    await refused(whole.subarray(0, -1), /^is cut short/, PASSPHRASE);
    const changed = Buffer.from(whole);
    changed[whole.length - 40]! ^= 1;
    await refused(changed, /^is damaged/, PASSPHRASE);
  });

  test('[BAK3] a file that asks for the memory of a large machine is refused', async () => {
    const writer = new RecordWriter();
    const greedy = BackupSeal.encode(BackupSeal.create({ cost: 1 << 30, blockSize: 8 }));
    const parts = [
      FIRST_LINE,
      ...writer.record(RecordKind.HEADER, BackupHeader.encode(HEADER)),
      ...writer.record(RecordKind.SEAL, greedy),
    ];
    await refused(Buffer.concat(parts), /^asks for more memory/, PASSPHRASE);
  });
});
