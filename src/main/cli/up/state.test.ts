import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, test } from 'node:test';
import {
  isAlive,
  readRecord,
  socketFor,
  startTimeOf,
  stateDirFor,
  withLock,
  writeRecord,
} from './state.ts';

describe('the state of a cluster', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-state-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  const own = { name: 'self', pid: process.pid, startedAt: startTimeOf(process.pid) ?? '' };

  test('a record is read as it was written; none and a damaged one are told apart', async () => {
    assert.equal(await readRecord(directory), undefined);
    const record = { name: 'a', file: 'f', socket: 's', address: 'h:1', workers: [own] };
    await writeRecord(directory, record);
    assert.deepEqual(await readRecord(directory), record);
    for (const text of ['', '{', '{"name":1}', '{"name":"a"}']) {
      await writeFile(join(directory, 'cluster.json'), text);
      await assert.rejects(readRecord(directory), /cluster\.json is damaged/, text);
    }
  });

  test('a process is known by its start, not by its pid alone', () => {
    assert.equal(isAlive(own), true);
    assert.equal(isAlive({ ...own, startedAt: '1' }), false);
    assert.equal(startTimeOf(2 ** 22 + 1), undefined);
  });

  test('a socket path that is too long for a socket goes elsewhere', () => {
    assert.equal(socketFor('/short'), '/short/control.sock');
    const moved = socketFor(`/${'long/'.repeat(30)}`);
    assert.ok(moved.length < 100 && moved.startsWith(tmpdir()));
    assert.notEqual(moved, socketFor(`/${'long/'.repeat(31)}`));
  });

  test('the state stands beside the file', async () => {
    assert.equal(await stateDirFor(join(directory, 'x.yaml'), 'a'), join(directory, '.skein', 'a'));
    assert.match(await stateDirFor('/nowhere/x.yaml', 'a'), /skein\/a-[0-9a-f]{12}$/);
  });

  test('one at a time; a lock whose holder is gone is void', async () => {
    await withLock(directory, async () => {
      await assert.rejects(
        withLock(directory, () => Promise.resolve()),
        /another "skein up" or "skein down" is at work on this cluster \(pid \d+\)/,
      );
    });
    for (const left of ['', JSON.stringify({ pid: process.pid, startedAt: '1' })]) {
      await writeFile(join(directory, 'lock'), left);
      assert.equal(await withLock(directory, () => Promise.resolve('done')), 'done');
    }
    assert.deepEqual(await readdir(directory), []);
  });
});
