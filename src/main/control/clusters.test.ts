import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cluster } from '../../shared/wire/gen/objects.ts';
import type { ClusterSpec } from '../../shared/wire/gen/specs.ts';
import type { Init } from '../../shared/wire/runtime.ts';
import { Code } from '../rpc/errors.ts';
import { Bench } from './testing/bench.ts';

const KEY = Buffer.from('KEY-MATERIAL');
const NAMED = { annotations: { name: 'default' } } as const;
const DAY_MS = 86_400_000;

const SECRETS: Init<Cluster> = {
  id: 'c',
  fips: true,
  rootCa: {
    caKey: KEY,
    caCert: Buffer.from('ROOT'),
    caCertHash: 'sha256:1',
    joinTokens: { worker: 'w', manager: 'm' },
    rootRotation: { caCert: Buffer.from('NEXT'), caKey: KEY },
    lastForcedRotation: 3,
  },
  spec: {
    ...NAMED,
    caConfig: { signingCaKey: KEY, signingCaCert: KEY, forceRotate: 3 },
    orchestration: { taskHistoryRetentionLimit: 5 },
  },
  networkBootstrapKeys: [{ key: KEY }],
  unlockKeys: [{ subsystem: 'swarm-manager', key: KEY }],
};

async function benchWith(init: Init<Cluster>): Promise<Bench> {
  const bench = new Bench();
  await bench.write((tx) => tx.clusters.create(Cluster.create(init)));
  return bench;
}

/** Updates with the stored version. */
async function update(bench: Bench, spec: Init<ClusterSpec>, rotation = {}) {
  const clusterVersion = stored(bench).meta.version;
  return bench.call('UpdateCluster', { clusterId: 'c', clusterVersion, spec, rotation });
}

function stored(bench: Bench): Cluster {
  const cluster = bench.memory.store.view((view) => view.clusters.get('c'));
  assert.ok(cluster);
  return cluster;
}

const LOCKED = { ...NAMED, encryptionConfig: { autoLockManagers: true } };

test('[CTL50] no key leaves with the cluster, and join tokens do', async () => {
  const bench = await benchWith(SECRETS);
  const { cluster: got } = await bench.call('GetCluster', { clusterId: 'c' });
  const { clusters } = await bench.call('ListClusters', { filters: { names: ['default'] } });
  const spec = { ...NAMED, caConfig: { forceRotate: 3 } };
  const { cluster: updated } = await update(bench, spec);
  for (const shown of [got, clusters[0], updated]) {
    assert.ok(shown);
    const bytes = Buffer.from(Cluster.encode(shown));
    assert.equal(bytes.includes(KEY), false);
    assert.deepEqual(shown.unlockKeys, []);
    assert.deepEqual(shown.networkBootstrapKeys, []);
    assert.equal(shown.fips, false);
    assert.deepEqual(shown.rootCa.joinTokens, { worker: 'w', manager: 'm' });
    assert.equal(Buffer.from(shown.rootCa.caCert).toString(), 'ROOT');
    assert.equal(Buffer.from(shown.rootCa.rootRotation?.caCert ?? []).toString(), 'NEXT');
    assert.deepEqual(shown.defaultAddressPool, ['10.0.0.0/8']);
    assert.equal(shown.subnetSize, 24);
    assert.equal(shown.vxlanUdpPort, 4789);
  }
  assert.equal(got?.spec.orchestration.taskHistoryRetentionLimit, 5);
});

test('[CTL50] pools that were chosen are shown as they are', async () => {
  const chosen = { defaultAddressPool: ['10.9.0.0/16'], subnetSize: 20, vxlanUdpPort: 5000 };
  const bench = await benchWith({ id: 'c', spec: NAMED, ...chosen });
  const { cluster } = await bench.call('GetCluster', { clusterId: 'c' });
  assert.deepEqual({ ...cluster, ...chosen }, cluster);
});

test('[CTL51] an update is checked and in sequence', async () => {
  const bench = await benchWith({ id: 'c', spec: NAMED });
  const clusterVersion = { index: 0 };
  const base = { clusterId: 'c', clusterVersion };
  for (const [request, code, text] of [
    [{}, Code.INVALID_ARGUMENT, 'invalid argument: the cluster ID must be provided'],
    [
      { clusterId: 'c' },
      Code.INVALID_ARGUMENT,
      'invalid argument: the cluster version must be provided',
    ],
    [base, Code.INVALID_ARGUMENT, 'invalid argument: the cluster spec must be provided'],
    [{ ...base, spec: {} }, Code.INVALID_ARGUMENT, 'modification of cluster name is not allowed'],
    [{ ...base, clusterId: 'x', spec: NAMED }, Code.NOT_FOUND, 'cluster x not found'],
    [
      { ...base, clusterVersion: { index: 99 }, spec: NAMED },
      Code.UNKNOWN,
      'update out of sequence',
    ],
  ] as const) {
    assert.deepEqual(await bench.refusal('UpdateCluster', request), { code, text });
  }
  assert.equal(
    (await bench.refusal('GetCluster', { clusterId: 'x' }))?.text,
    'cluster x not found',
  );
});

test('[CTL52] an update keeps what others own', async () => {
  const bench = await benchWith({ ...SECRETS, spec: LOCKED, rootCa: { caKey: KEY } });
  const before = stored(bench);
  await update(bench, { ...LOCKED, orchestration: { taskHistoryRetentionLimit: 9 } });
  const after = stored(bench);
  assert.equal(after.spec.orchestration.taskHistoryRetentionLimit, 9);
  const { meta: _, spec: __, ...kept } = before;
  assert.deepEqual({ ...after, ...kept }, after);
});

test('[CTL53] join tokens are rotated one by one', async () => {
  const joinTokens = { worker: 'w', manager: 'm' };
  const rootCa = { caCert: Buffer.from('ROOT'), joinTokens };
  const bench = await benchWith({ id: 'c', spec: NAMED, rootCa });
  const { cluster: first } = await update(bench, NAMED, { workerJoinToken: true });
  assert.deepEqual(first?.rootCa.joinTokens, { worker: 'token-ROOT-false-1', manager: 'm' });
  const { cluster: second } = await update(bench, NAMED, { managerJoinToken: true });
  assert.deepEqual(second?.rootCa.joinTokens, {
    worker: 'token-ROOT-false-1',
    manager: 'token-ROOT-false-2',
  });
});

test('[CTL54] managers that lock themselves have a key, others have none', async () => {
  const other = { subsystem: 'other', key: KEY };
  const bench = await benchWith({ id: 'c', spec: NAMED, unlockKeys: [other] });
  const keys = () => stored(bench).unlockKeys.map(({ subsystem, key }) => `${subsystem} ${key[0]}`);
  const plain = [`other ${KEY[0]}`];
  await update(bench, NAMED, { managerUnlockKey: true });
  assert.deepEqual(keys(), plain);
  await update(bench, LOCKED);
  assert.deepEqual(keys(), [...plain, 'swarm-manager 1']);
  await update(bench, LOCKED);
  assert.deepEqual(keys(), [...plain, 'swarm-manager 1']);
  await update(bench, LOCKED, { managerUnlockKey: true });
  assert.deepEqual(keys(), [...plain, 'swarm-manager 2']);
  await update(bench, NAMED);
  assert.deepEqual(keys(), plain);
});

const at = (ms: number) => ({ expiry: { seconds: ms / 1000 } });

test('[CTL55] barred certificates are forgotten a week after they expired', async () => {
  const bench = await benchWith({ id: 'c', spec: NAMED });
  const expiredAt = bench.nowMs - 7 * DAY_MS;
  await bench.write((tx) => {
    tx.clusters.update({
      ...stored(bench),
      ...Cluster.create({
        id: 'c',
        meta: stored(bench).meta,
        spec: NAMED,
        blacklistedCertificates: { old: at(expiredAt), recent: at(expiredAt + 1000), never: {} },
      }),
    });
  });
  await update(bench, NAMED);
  assert.deepEqual(Object.keys(stored(bench).blacklistedCertificates), ['recent', 'never']);
});

test('[CTL56] another root is refused in so many words, and what is there passes', async () => {
  const external = [{ url: 'https://ca' }];
  const bench = await benchWith({
    id: 'c',
    spec: { ...NAMED, caConfig: { externalCas: external } },
    rootCa: { lastForcedRotation: 2 },
  });
  const same = { forceRotate: 2, externalCas: external };
  await update(bench, { ...NAMED, caConfig: same });
  const clusterVersion = stored(bench).meta.version;
  for (const [caConfig, code, text] of [
    [
      { ...same, signingCaKey: KEY },
      Code.INVALID_ARGUMENT,
      /^if a signing CA key is provided, the signing CA cert must also be provided$/,
    ],
    [
      { ...same, signingCaCert: KEY },
      Code.UNIMPLEMENTED,
      /^changing the root CA certificate is not/,
    ],
    [{ ...same, forceRotate: 3 }, Code.UNIMPLEMENTED, /^root CA rotation is not supported yet/],
    [{ ...same, externalCas: [] }, Code.UNIMPLEMENTED, /^changing external CAs is not supported/],
  ] as const) {
    const request = { clusterId: 'c', clusterVersion, spec: { ...NAMED, caConfig } };
    const refused = await bench.refusal('UpdateCluster', request);
    assert.equal(refused?.code, code);
    assert.match(refused.text, text);
  }
});
