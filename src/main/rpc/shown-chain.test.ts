/** Which certificates a side shows: a lone leaf with the root that signed it, all else as it is. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import tls from 'node:tls';
import { before, describe, test } from 'node:test';
import { testCluster, type TestCluster } from '../ca/testing/identities.ts';
import { Role } from './authorise.ts';
import type { Credentials } from './listener.ts';
import { shownChain } from './shown-chain.ts';

const count = (pem: string): number => pem.match(/BEGIN CERTIFICATE/g)?.length ?? 0;

describe('the certificates that are shown', () => {
  let cluster: TestCluster;
  let other: TestCluster;
  let worker: Credentials;

  before(async () => {
    cluster = await testCluster();
    other = await testCluster();
    worker = await cluster.member('worker1', Role.WORKER);
  });

  test('a lone leaf goes with the root that signed it, of several of one name', () => {
    const { certificatePem, rootPem } = worker;
    const shown = shownChain(certificatePem, other.root.certificatePem + rootPem);
    assert.equal(count(shown), 2);
    assert.ok(shown.startsWith(certificatePem.trim()));
    assert.ok(shown.includes(rootPem.trim()));
  });

  test('a leaf of another root, or with its issuer already, stays as it is', () => {
    const { certificatePem, rootPem } = worker;
    assert.equal(shownChain(certificatePem, other.root.certificatePem), certificatePem);
    const chain = certificatePem + rootPem;
    assert.equal(shownChain(chain, rootPem), chain);
  });

  test('the other side verifies it and sees what OpenSSL would have found by itself', async () => {
    const manager = await cluster.member('manager1', Role.MANAGER);
    const { rootPem: ca } = manager;
    const seen = async (cert: string): Promise<string[]> => {
      const server = tls.createServer({ cert, key: manager.keyPem, ca });
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const at = server.address();
      assert.ok(typeof at === 'object' && at !== null);
      const { port } = at;
      const socket = tls.connect({ port, host: '127.0.0.1', servername: 'swarm-manager', ca });
      await once(socket, 'secureConnect');
      assert.ok(socket.authorized);
      const leaf = socket.getPeerX509Certificate();
      const prints = [leaf, leaf?.issuerCertificate].map((one) => one?.fingerprint256 ?? 'none');
      const closed = once(socket, 'close');
      socket.destroy();
      server.close();
      await closed;
      return prints;
    };
    const { certificatePem } = manager;
    const shown = await seen(shownChain(certificatePem, ca));
    assert.deepEqual(shown, await seen(certificatePem));
    assert.ok(!shown.includes('none'));
  });
});
