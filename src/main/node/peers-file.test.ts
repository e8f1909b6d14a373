import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Peer } from '../../shared/wire/gen/types.ts';
import { readPeers, writePeers } from './peers-file.ts';

async function folder() {
  const path = await mkdtemp(join(tmpdir(), 'skein-peers-'));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true }) };
}

const peer = (nodeId: string, addr: string): Peer => Peer.create({ nodeId, addr });

test('[NODE4] what is written is read again, sorted by node, for this user only', async () => {
  await using here = await folder();
  assert.deepEqual(await readPeers(here.path), []);
  await writePeers(here.path, [peer('b', 'hb:1'), peer('a', '[::1]:2')]);
  assert.deepEqual(await readPeers(here.path), [peer('a', '[::1]:2'), peer('b', 'hb:1')]);
  const file = join(here.path, 'state.json');
  assert.equal((await stat(file)).mode & 0o777, 0o600);
  const rows: unknown = JSON.parse(await readFile(file, 'utf8'));
  assert.deepEqual(rows, [
    { node_id: 'a', addr: '[::1]:2' },
    { node_id: 'b', addr: 'hb:1' },
  ]);
  await writePeers(here.path, []);
  assert.deepEqual([await readPeers(here.path), await readdir(here.path)], [[], ['state.json']]);
});

test('[NODE4] a half-written new file is of no account', async () => {
  await using here = await folder();
  await writePeers(here.path, [peer('a', 'h:1')]);
  await writeFile(join(here.path, 'state.json.new'), '[{"node_');
  assert.deepEqual(await readPeers(here.path), [peer('a', 'h:1')]);
});

test('a damaged file is named, with what to do', async () => {
  await using here = await folder();
  for (const text of ['', '{}', '[{"node_id":1}]', '[{"node_id":"a"}]']) {
    await writeFile(join(here.path, 'state.json'), text);
    await assert.rejects(readPeers(here.path), /state\.json is damaged: remove it/);
  }
});
