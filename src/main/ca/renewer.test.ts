/** The renewal loop: in time, when forced, and again and again until it succeeds. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { Cluster, Node } from '../../shared/wire/gen/objects.ts';
import { NodeRole } from '../../shared/wire/gen/types.ts';
import { realEnv } from '../env.ts';
import { type Log, silentLog } from '../log.ts';
import { Role } from '../rpc/authorise.ts';
import type { Credentials, Listener } from '../rpc/listener.ts';
import { listenTcp } from '../rpc/listener.ts';
import { openMemoryStore } from '../store/testing/memory-log.ts';
import { clusterRootCa } from './bootstrap.ts';
import type { Headers, KeyStore } from './key-files.ts';
import { Renewer } from './renewer.ts';
import { readIdentity, SecurityContext } from './security-context.ts';
import { CertificateAuthority } from './service.ts';
import { testCluster } from './testing/identities.ts';

const cluster = await testCluster();
const manager = await cluster.member('manager1', Role.MANAGER);

const noStore: KeyStore = {
  loadRoot: () => Promise.resolve(undefined),
  saveRoot: () => Promise.resolve(),
  load: () => Promise.resolve(undefined),
  save: () => Promise.resolve(),
};

describe('a renewer', () => {
  const memory = openMemoryStore(realEnv);
  const id = cluster.organization;
  let authority: CertificateAuthority;
  let listener: Listener;
  let security: SecurityContext;
  let renewer: Renewer;
  /** Resolves at the next warning, which every failed attempt gives. */
  let failed: () => Promise<unknown>;
  /** Where attempts go; the listener unless a test says otherwise. */
  let address: string;
  let backoffMs: number;
  const env = { ...realEnv };

  const setRole = (role: NodeRole): Promise<void> =>
    memory.store.update((tx) => {
      const node = tx.nodes.get('node1');
      if (node === undefined) tx.nodes.create(Node.create({ id: 'node1', role }));
      else tx.nodes.update({ ...node, role });
    });

  beforeEach(async () => {
    await memory.store.update((tx) => {
      if (tx.clusters.get(id) !== undefined) return;
      tx.clusters.create(Cluster.create({ id, rootCa: clusterRootCa(cluster.root) }));
    });
    await setRole(NodeRole.WORKER);
    const { store } = memory;
    authority = new CertificateAuthority({ store, clusterId: id, env: realEnv, log: silentLog });
    authority.start();
    listener = await listenTcp({
      host: '127.0.0.1',
      port: 0,
      credentials: manager,
      services: authority.services,
      policy: { organization: id, isRemoved: () => false },
      log: silentLog,
    });
    address = listener.address;
    backoffMs = 1;
    const credentials = await cluster.member('node1', Role.WORKER);
    security = new SecurityContext(readIdentity(credentials, Date.now()), noStore);
    const warnings: (() => void)[] = [];
    failed = () => new Promise<void>((resolve) => warnings.push(resolve));
    const log: Log = {
      ...silentLog,
      warn: (_fields, text) => {
        if (text === 'could not renew the certificate') warnings.shift()?.();
      },
    };
    env.nowMs = realEnv.nowMs;
    renewer = new Renewer({
      security,
      approach: (_attempt, { credentials: identity }) => ({
        to: 'manager',
        address,
        rootPem: identity.rootPem,
        identity,
      }),
      env,
      log,
      pauses: { forcedDelayMs: 1, backoffMs: () => backoffMs },
    });
  });

  afterEach(async () => {
    await renewer.stop();
    authority.stop();
    await listener.stop(0);
  });

  /** The last request of this node that reached the cluster. */
  const requested = (): Uint8Array | undefined =>
    memory.store.view((view) => view.nodes.get('node1')?.certificate.csr);

  const renewed = (): Promise<Credentials> =>
    new Promise((resolve) => {
      const stop = security.watch(({ credentials }) => {
        stop();
        resolve(credentials);
      });
    });

  test('waits until it is time', async () => {
    const { notBeforeMs, notAfterMs } = security.identity;
    const before = requested();
    renewer.start();
    await renewer.stop();
    assert.deepEqual(requested(), before);
    env.nowMs = () => notBeforeMs + (notAfterMs - notBeforeMs) * 0.81;
    const next = renewed();
    renewer = new Renewer({
      security,
      approach: () => ({
        to: 'manager',
        address,
        rootPem: manager.rootPem,
        identity: security.credentials,
      }),
      env,
      log: silentLog,
    });
    renewer.start();
    await assert.doesNotReject(next);
  });

  test('goes on trying with the expected role until the cluster gives it', async () => {
    renewer.start();
    const first = failed();
    renewer.force(Role.MANAGER);
    await first;
    assert.equal(security.identity.role, Role.WORKER);
    await setRole(NodeRole.MANAGER);
    const next = renewed();
    await next;
    assert.equal(security.identity.role, Role.MANAGER);
  });

  test('a role that was asked for is forgotten by no other wish, and a wish ends a long pause', async () => {
    backoffMs = 1_000_000;
    renewer.start();
    const first = failed();
    renewer.force(Role.MANAGER);
    await first;
    const second = failed();
    renewer.force();
    await second;
    assert.equal(security.identity.role, Role.WORKER, 'a certificate of the old role is not taken');
    await setRole(NodeRole.MANAGER);
    const next = renewed();
    renewer.force();
    await next;
    assert.equal(security.identity.role, Role.MANAGER);
  });

  test('a new certificate is kept with the headers that go with it', async () => {
    const saved = Promise.withResolvers<Headers>();
    const store: KeyStore = {
      ...noStore,
      save: async (_certificate, _key, headers) => {
        saved.resolve(typeof headers === 'function' ? headers({ kept: 'yes' }) : {});
      },
    };
    security = new SecurityContext(security.identity, store);
    renewer = new Renewer({
      security,
      approach: () => ({
        to: 'manager',
        address,
        rootPem: manager.rootPem,
        identity: security.credentials,
      }),
      headers: ({ role }, kept) => ({ ...kept, role }),
      env,
      log: silentLog,
      pauses: { forcedDelayMs: 1, backoffMs: () => 1 },
    });
    renewer.start();
    renewer.force();
    assert.deepEqual(await saved.promise, { kept: 'yes', role: Role.WORKER });
  });

  test('tries again after a failure, and stops at once while it waits', async () => {
    address = '127.0.0.1:1';
    backoffMs = 1_000_000;
    renewer.start();
    const first = failed();
    renewer.force();
    await first;
    await renewer.stop();
    assert.equal(security.identity.nodeId, 'node1');
  });
});
