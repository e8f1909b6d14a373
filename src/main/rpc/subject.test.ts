/** The names of a subject are those that Node reads, whatever they are. */
import assert from 'node:assert/strict';
import { createPublicKey, X509Certificate } from 'node:crypto';
import { describe, test } from 'node:test';
import { newKey, nodeCertificate, selfSigned } from '../ca/certificates.ts';
import { testCluster } from '../ca/testing/identities.ts';
import { Role } from './authorise.ts';
import { subjectOf } from './subject.ts';

const valid = { notBeforeMs: Date.now() - 1000, notAfterMs: Date.now() + 3_600_000 };

async function withNames(names: readonly [string, string, string]): Promise<X509Certificate> {
  const keyPem = await newKey();
  const certificatePem = selfSigned(keyPem, 'swarm-ca', valid);
  const [organization, organizationalUnit, commonName] = names;
  const subject = { organization, organizationalUnit, commonName, dnsNames: ['x'], ...valid };
  const issuer = { certificatePem, keyPem };
  return new X509Certificate(nodeCertificate(subject, createPublicKey(keyPem), issuer));
}

describe('the names of a subject', () => {
  test("of a cluster's own certificate are read without Node's object of it", async (t) => {
    const cluster = await testCluster();
    for (const role of Object.values(Role)) {
      const { certificatePem } = await cluster.member('node1', role);
      const certificate = new X509Certificate(certificatePem);
      const object = t.mock.method(certificate, 'toLegacyObject');
      const { organization } = cluster;
      assert.deepEqual(subjectOf(certificate), { O: organization, OU: role, CN: 'node1' });
      assert.equal(object.mock.callCount(), 0);
    }
  });

  test('are what Node reads, also where they look like something else', async () => {
    const odd = [
      'two words',
      'a, CN=admin',
      'a\nCN=admin',
      'a + CN=admin',
      'a\\',
      'é',
      '"q"',
      '=x',
      'n-1.x_2',
    ];
    for (const name of odd) {
      for (const names of [
        [name, 'swarm-worker', 'node1'],
        ['org', name, 'node1'],
        ['org', 'swarm-worker', name],
      ] as const) {
        const certificate = await withNames(names);
        assert.deepEqual(subjectOf(certificate), { ...certificate.toLegacyObject().subject }, name);
      }
    }
  });
});
