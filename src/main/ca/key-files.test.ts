/** A node's files through crashes, locks and damage. */
import assert from 'node:assert/strict';
import { chmod, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { Role } from '../rpc/authorise.ts';
import { CertificateError } from './certificates.ts';
import { KeyFiles, LockedError } from './key-files.ts';
import { CA_LIMITS } from './root.ts';
import { ExpiredError, loadSecurityContext } from './security-context.ts';
import { testCluster } from './testing/identities.ts';

const cluster = await testCluster();
const first = await cluster.member('node1', Role.WORKER);
const second = await cluster.member('node1', Role.WORKER);
const manager = await cluster.member('node2', Role.MANAGER);

let directory: string;
const path = (file: string): string => join(directory, file);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-keys-'));
});
afterEach(() => rm(directory, { recursive: true }));

test('nothing there is nothing, not an error', async () => {
  const keys = new KeyFiles(join(directory, 'absent'));
  assert.equal(await keys.loadRoot(), undefined);
  assert.equal(await keys.load(), undefined);
  assert.equal(await loadSecurityContext(keys, Date.now()), undefined);
});

test('what was saved is loaded; headers stay until they are given anew', async () => {
  const keys = new KeyFiles(directory);
  await keys.saveRoot(first.rootPem);
  await keys.save(first.certificatePem, first.keyPem, { 'raft-dek': 'AAAA', 'kek-version': '7' });
  await keys.save(second.certificatePem, second.keyPem);
  assert.deepEqual(await keys.load(), {
    certificatePem: second.certificatePem,
    keyPem: second.keyPem,
    headers: { 'raft-dek': 'AAAA', 'kek-version': '7' },
  });
  await keys.save(second.certificatePem, second.keyPem, {});
  assert.deepEqual((await keys.load())?.headers, {});
  assert.equal(await keys.loadRoot(), first.rootPem);
});

test('changes of headers and renewals at the same time lose nothing', async () => {
  const keys = new KeyFiles(directory);
  await assert.rejects(
    keys.updateHeaders((headers) => headers),
    /has no key yet/,
  );
  await keys.save(first.certificatePem, first.keyPem, { a: '0' });
  const names = ['b', 'c', 'd', 'e'];
  const changes = names.flatMap((name, i) => [
    keys.updateHeaders((headers) => ({ ...headers, [name]: String(Object.keys(headers).length) })),
    i % 2 === 0
      ? keys.save(second.certificatePem, second.keyPem)
      : keys.save(first.certificatePem, first.keyPem),
  ]);
  const refused = keys.updateHeaders(() => {
    throw new Error('no change');
  });
  await assert.rejects(refused, /no change/);
  await Promise.all(changes);
  const { certificatePem, keyPem } = first;
  const headers = { a: '0', b: '1', c: '2', d: '3', e: '4' };
  assert.deepEqual(await keys.load(), { certificatePem, keyPem, headers });
  assert.deepEqual((await readdir(directory)).toSorted(), ['swarm-node.crt', 'swarm-node.key']);
});

test('a change of headers that a crash cut short has changed nothing, and is done anew', async () => {
  const keys = new KeyFiles(directory);
  await keys.save(first.certificatePem, first.keyPem, { a: '0' });
  await writeFile(path('.swarm-node.key'), 'half a key f');
  assert.deepEqual((await keys.load())?.headers, { a: '0' });
  await keys.updateHeaders((headers) => ({ ...headers, b: '1' }));
  assert.deepEqual(await keys.load(), {
    certificatePem: first.certificatePem,
    keyPem: first.keyPem,
    headers: { a: '0', b: '1' },
  });
});

test('a crash at any step of a save leaves one identity or the other, whole', async () => {
  // The steps: 1 temporary certificate, 2 temporary key, 3 key in place, 4 certificate in place.
  for (const steps of [1, 2, 3, 4]) {
    const keys = new KeyFiles(directory);
    await keys.save(first.certificatePem, first.keyPem);
    const other = new KeyFiles(path('other'));
    await other.save(second.certificatePem, second.keyPem);
    if (steps >= 1) await writeFile(path('.swarm-node.crt'), second.certificatePem);
    if (steps >= 2) await rename(path('other/swarm-node.key'), path('.swarm-node.key'));
    if (steps >= 3) await rename(path('.swarm-node.key'), path('swarm-node.key'));
    if (steps >= 4) await rename(path('.swarm-node.crt'), path('swarm-node.crt'));
    const loaded = await keys.load();
    const want = steps >= 3 ? second : first;
    assert.equal(loaded?.certificatePem, want.certificatePem, `after step ${steps}`);
    assert.equal(loaded.keyPem, want.keyPem);
    // And again, after whatever was mended.
    assert.deepEqual(await keys.load(), loaded);
  }
});

test('a key and a certificate that do not belong together are an error', async () => {
  const keys = new KeyFiles(directory);
  await keys.save(first.certificatePem, first.keyPem);
  await writeFile(path('swarm-node.crt'), second.certificatePem);
  await assert.rejects(keys.load(), /^CertificateError: certificate key mismatch$/);
});

test('damaged files are an error that says which', async () => {
  const keys = new KeyFiles(directory);
  await keys.saveRoot(first.rootPem);
  await keys.save(first.certificatePem, first.keyPem);
  for (const text of [
    '',
    'rubbish',
    '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n',
  ]) {
    await writeFile(path('swarm-node.key'), text);
    await assert.rejects(loadSecurityContext(keys, Date.now()), CertificateError);
  }
  await keys.save(first.certificatePem, first.keyPem);
  await writeFile(path('swarm-root-ca.crt'), 'rubbish');
  await assert.rejects(loadSecurityContext(keys, Date.now()), /no certificate found/);
});

test('a locked key opens with its unlock key and with nothing else', async () => {
  const unlockKey = Uint8Array.from({ length: 32 }, (_, i) => i);
  const locked = new KeyFiles(directory, unlockKey);
  await locked.save(first.certificatePem, first.keyPem, { 'raft-dek': 'AAAA' });
  assert.match(await readFile(path('swarm-node.key'), 'utf8'), /BEGIN ENCRYPTED PRIVATE KEY/);
  assert.equal((await locked.load())?.keyPem, first.keyPem);
  assert.deepEqual((await locked.load())?.headers, { 'raft-dek': 'AAAA' });
  for (const wrong of [undefined, new Uint8Array(32)]) {
    await assert.rejects(new KeyFiles(directory, wrong).load(), (error) => {
      assert.ok(error instanceof LockedError);
      assert.equal(error.message, 'node is locked, and needs a valid unlock key');
      return true;
    });
  }
});

test('the key is for its owner alone, even where the file was open to all', async () => {
  await writeFile(path('.swarm-node.key'), '');
  await chmod(path('.swarm-node.key'), 0o666);
  await new KeyFiles(directory).save(first.certificatePem, first.keyPem);
  assert.equal((await stat(path('swarm-node.key'))).mode & 0o777, 0o600);
  assert.deepEqual((await readdir(directory)).toSorted(), ['swarm-node.crt', 'swarm-node.key']);
});

test('a worker whose certificate expired must join again; a manager goes on and renews', async () => {
  const later = Date.now() + CA_LIMITS.nodeExpiryDefaultMs + 1000 * 3600;
  const keys = new KeyFiles(directory);
  await keys.saveRoot(first.rootPem);
  await keys.save(first.certificatePem, first.keyPem);
  await assert.rejects(loadSecurityContext(keys, later), ExpiredError);
  await keys.save(manager.certificatePem, manager.keyPem);
  const loaded = await loadSecurityContext(keys, later);
  assert.equal(loaded?.identity.nodeId, 'node2');
});

test('an identity of another root is refused', async () => {
  const keys = new KeyFiles(directory);
  await keys.saveRoot((await testCluster()).root.certificatePem);
  await keys.save(first.certificatePem, first.keyPem);
  await assert.rejects(loadSecurityContext(keys, Date.now()), /signed by unknown authority/);
});

test('a new certificate must be this node’s, and a new root must fit the certificate', async () => {
  const keys = new KeyFiles(directory);
  await keys.saveRoot(first.rootPem);
  await keys.save(first.certificatePem, first.keyPem);
  const security = (await loadSecurityContext(keys, Date.now())) ?? assert.fail();
  const seen: string[] = [];
  const stop = security.watch(({ credentials }) => seen.push(credentials.keyPem));
  await assert.rejects(security.renew(manager, Date.now()), /is for another node: node2/);
  const { root } = await testCluster();
  await assert.rejects(security.trust(root.certificatePem, Date.now()), /unknown authority/);
  assert.deepEqual(seen, []);
  const both = first.rootPem + root.certificatePem;
  await security.trust(both, Date.now());
  await security.renew(second, Date.now());
  assert.deepEqual(seen, [first.keyPem, second.keyPem]);
  assert.equal(await keys.loadRoot(), both);
  stop();
  await security.trust(first.rootPem, Date.now());
  assert.equal(seen.length, 2);
  assert.deepEqual(security.identity.tlsInfo.trustRoot, Buffer.from(first.rootPem));
});
