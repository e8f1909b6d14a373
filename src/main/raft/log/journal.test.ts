import assert from 'node:assert/strict';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Journal, JOURNAL_BYTES, JOURNAL_START, JournalError } from './journal.ts';

let directory: string;
let path: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-journal-'));
  path = join(directory, 'journal');
  new Journal(path).create();
});
afterEach(() => rm(directory, { recursive: true }));

async function write(...texts: string[]): Promise<void> {
  const journal = new Journal(path);
  journal.open(JOURNAL_START);
  for (const text of texts) await journal.append([Buffer.from(text)]);
  journal.close();
}

function read(mark = JOURNAL_START): string[] {
  const journal = new Journal(path);
  try {
    return journal.open(mark).map((content) => content.toString());
  } finally {
    journal.close();
  }
}

async function damage(at: number): Promise<void> {
  await using file = await open(path, 'r+');
  const byte = Buffer.alloc(1);
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.of((byte[0] ?? 0) ^ 1), 0, 1, at);
}

test('[LOG1] what was added is there, in order, and goes on after a restart', async () => {
  assert.deepEqual(read(), []);
  await write('a', 'b');
  await write('c');
  assert.deepEqual(read(), ['a', 'b', 'c']);
});

test('[LOG17] a last record that is torn is none, and is written over', async () => {
  await write('first', 'second');
  await damage(16 + 5 + 16 + 3);
  assert.deepEqual(read(), ['first']);
  await write('2nd');
  assert.deepEqual(read(), ['first', '2nd']);
});

test('[LOG17] a record in the middle that is damaged is an error, and so is a journal that is gone', async () => {
  await write('first', 'second', 'third');
  await damage(16 + 2);
  assert.throws(() => read(), JournalError);
  await rm(path);
  assert.throws(() => read(), /journal is gone/);
});

test('[LOG17] what stands from earlier rounds is not read again', async () => {
  const journal = new Journal(path);
  journal.open(JOURNAL_START);
  const big = Buffer.alloc(JOURNAL_BYTES / 3);
  for (let i = 0; i < 2; i += 1) await journal.append([big]);
  assert.equal(journal.fits(big.length), false);
  const mark = journal.rewind();
  assert.deepEqual(mark, { number: 2, offset: 0 });
  assert.deepEqual(read(mark), []);
  await journal.append([Buffer.from('new')]);
  journal.close();
  assert.deepEqual(read(mark), ['new']);
});
