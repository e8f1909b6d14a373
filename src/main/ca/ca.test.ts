/** A cluster's CA over real connections: join, renew, refuse; and what a node does with it. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, test } from 'node:test';
import { Cluster, type Node } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability, NodeSpecMembership } from '../../shared/wire/gen/specs.ts';
import { IssuanceStatusState, NodeRole } from '../../shared/wire/gen/types.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Role } from '../rpc/authorise.ts';
import { Channel } from '../rpc/client.ts';
import { Code, RpcError } from '../rpc/errors.ts';
import { type Listener, listenTcp } from '../rpc/listener.ts';
import { type MemoryStore, openMemoryStore } from '../store/testing/memory-log.ts';
import { clusterRootCa, foundCluster, joinCluster, rotateJoinTokens } from './bootstrap.ts';
import { CertificateError, certificateRequest, newKey } from './certificates.ts';
import { fetchRoot } from './join.ts';
import { KeyFiles, type KeyStore } from './key-files.ts';
import { Renewer } from './renewer.ts';
import { RootCa } from './root.ts';
import { loadSecurityContext, type SecurityContext } from './security-context.ts';
import { CertificateAuthority } from './service.ts';
import { newJoinToken } from './tokens.ts';

const HOUR_MS = 3_600_000;
const refusal = (message: string) => ({ code: Code.ABORTED, message });
const signal = new AbortController().signal;

describe('a cluster with a CA', () => {
  let directory: string;
  let root: RootCa;
  let manager: SecurityContext;
  let memory: MemoryStore;
  let authority: CertificateAuthority;
  let listener: Listener;
  let count = 0;

  const newStore = (): KeyFiles => new KeyFiles(join(directory, `node${(count += 1)}`));
  const cluster = (): Cluster =>
    memory.store.view((view) => view.clusters.get(manager.identity.organization)) ??
    assert.fail('no cluster');
  const change = (part: Partial<Cluster>): Promise<void> =>
    memory.store.update((tx) => tx.clusters.update({ ...cluster(), ...part }));
  const nodeOf = (id: string): Node =>
    memory.store.view((view) => view.nodes.get(id)) ?? assert.fail('no such node');
  const changeNode = (id: string, part: Partial<Node>): Promise<void> =>
    memory.store.update((tx) => tx.nodes.update({ ...nodeOf(id), ...part }));
  const removeNode = (id: string): Promise<void> =>
    memory.store.update((tx) => tx.nodes.remove(id));
  const tokens = (): { worker: string; manager: string } => cluster().rootCa.joinTokens;
  const joinWith = (token: string, keys = newStore()): Promise<SecurityContext> =>
    joinCluster({
      store: keys,
      address: listener.address,
      token,
      availability: NodeSpecAvailability.DRAIN,
      env: realEnv,
      log: silentLog,
      signal,
    });

  const life = async (seconds: number): Promise<number> => {
    const { spec } = cluster();
    const caConfig = { ...spec.caConfig, nodeCertExpiry: { seconds, nanos: 0 } };
    await change({ spec: { ...spec, caConfig } });
    const { identity } = await joinWith(tokens().worker);
    return identity.notAfterMs - identity.notBeforeMs;
  };

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-ca-'));
    const founded = await foundCluster(newStore(), realEnv);
    root = founded.root;
    manager = founded.security;
  });

  beforeEach(async () => {
    memory = openMemoryStore(realEnv);
    const { store } = memory;
    const id = manager.identity.organization;
    const object = Cluster.create({ id, rootCa: clusterRootCa(root), vxlanUdpPort: 4789 });
    await store.update((tx) => tx.clusters.create(object));
    authority = new CertificateAuthority({ store, clusterId: id, env: realEnv, log: silentLog });
    listener = await listenTcp({
      host: '127.0.0.1',
      port: 0,
      credentials: manager.credentials,
      services: authority.services,
      policy: { organization: id, isRemoved: () => false },
      log: silentLog,
    });
  });

  afterEach(async () => {
    authority.stop();
    await listener.stop(0);
  });

  after(() => rm(directory, { recursive: true }));

  test('a founder keeps its headers with its key from the first write on', async () => {
    const store = newStore();
    let saves = 0;
    const watched: KeyStore = {
      loadRoot: store.loadRoot,
      saveRoot: store.saveRoot,
      load: store.load,
      save: async (...identity) => {
        await store.save(...identity);
        saves += 1;
      },
    };
    await foundCluster(watched, realEnv, { 'raft-dek': 'key' });
    assert.equal(saves, 1);
    assert.deepEqual((await store.load())?.headers, { 'raft-dek': 'key' });
  });

  test('a node joins with a token: as a worker or as a manager', async () => {
    authority.start();
    for (const [token, role, nodeRole] of [
      [tokens().worker, Role.WORKER, NodeRole.WORKER],
      [tokens().manager, Role.MANAGER, NodeRole.MANAGER],
    ] as const) {
      const { identity } = await joinWith(token);
      assert.equal(identity.role, role);
      assert.equal(identity.organization, manager.identity.organization);
      assert.match(identity.nodeId, /^[0-9a-z]{25}$/);
      const node = nodeOf(identity.nodeId);
      assert.equal(node.role, nodeRole);
      assert.equal(node.spec.desiredRole, nodeRole);
      assert.equal(node.spec.membership, NodeSpecMembership.ACCEPTED);
      assert.equal(node.spec.availability, NodeSpecAvailability.DRAIN);
      assert.equal(node.vxlanUdpPort, 4789);
      assert.equal(node.certificate.status.state, IssuanceStatusState.ISSUED);
    }
  });

  test('a wrong token is refused at once, and leaves no node and no file', async () => {
    authority.start();
    const keys = join(directory, 'refused');
    await assert.rejects(
      joinWith(newJoinToken(root.certificatePem), new KeyFiles(keys)),
      (error) =>
        error instanceof RpcError &&
        error.code === Code.INVALID_ARGUMENT &&
        error.message === 'A valid join token is necessary to join this cluster',
    );
    assert.equal(
      memory.store.view((view) => view.nodes.size),
      0,
    );
    await assert.rejects(readdir(keys), /ENOENT/);
    await assert.rejects(joinWith('SWMTKN-1-x'), /^TokenError: invalid join token$/);
  });

  test('a root that is not the token’s is refused, with the digest that was expected', async () => {
    authority.start();
    const other = await RootCa.create(Date.now());
    const expected = other.hash.slice('sha256:'.length);
    await assert.rejects(joinWith(newJoinToken(other.certificatePem)), (error) => {
      assert.ok(error instanceof CertificateError);
      assert.equal(error.message, `remote CA does not match fingerprint. Expected: ${expected}`);
      return true;
    });
  });

  test('the root is fetched without a token too, and is the exact bundle', async () => {
    const fetched = await fetchRoot({ address: listener.address, log: silentLog, signal });
    assert.equal(fetched.certificatePem, root.certificatePem);
  });

  test('a rotated token no longer lets in; the other one still does', async () => {
    authority.start();
    const old = tokens();
    const rootCa = rotateJoinTokens(cluster().rootCa, { worker: true, manager: false });
    await change({ rootCa });
    assert.notEqual(tokens().worker, old.worker);
    assert.equal(tokens().manager, old.manager);
    await assert.rejects(joinWith(old.worker), /A valid join token is necessary/);
    await joinWith(old.manager);
    await joinWith(tokens().worker);
  });

  test('until the signer runs, and after it stopped, requests are Aborted', async () => {
    using channel = new Channel({ to: 'anyone', address: listener.address });
    const { IssueNodeCertificate, NodeCertificateStatus } = channel.service('NodeCA');
    const csr = Buffer.from(certificateRequest(await newKey()));
    await assert.rejects(IssueNodeCertificate({ csr }), refusal('CA signer is still starting'));
    authority.start();
    memory.log.loseLeadership();
    await assert.rejects(IssueNodeCertificate({ csr, token: tokens().worker }), {
      code: Code.UNKNOWN,
      message: 'raft: failed to process the request: node lost leader status',
    });
    memory.log.gainLeadership();
    authority.stop();
    await assert.rejects(IssueNodeCertificate({ csr }), refusal('CA signer is stopped'));
    await assert.rejects(NodeCertificateStatus({ nodeId: 'x' }), refusal('CA signer is stopped'));
  });

  test('a status call waits for the answer, and ends when node or CA go', async () => {
    using channel = new Channel({ to: 'anyone', address: listener.address });
    const { IssueNodeCertificate, NodeCertificateStatus } = channel.service('NodeCA');
    authority.start();
    await assert.rejects(NodeCertificateStatus({}), { code: Code.INVALID_ARGUMENT });
    await assert.rejects(NodeCertificateStatus({ nodeId: 'nobody' }), { code: Code.NOT_FOUND });
    // Without the root's key nothing is signed, so the calls stay waiting.
    await change({ rootCa: { ...cluster().rootCa, caKey: new Uint8Array() } });
    const csr = Buffer.from(certificateRequest(await newKey()));
    const issue = (): Promise<{ nodeId: string }> =>
      IssueNodeCertificate({ csr, token: tokens().worker });
    const [{ nodeId: first }, { nodeId: second }] = [await issue(), await issue()];
    const removed = NodeCertificateStatus({ nodeId: first });
    const stopped = NodeCertificateStatus({ nodeId: second });
    const impatient = NodeCertificateStatus({ nodeId: second }, { timeoutMs: 20 });
    await assert.rejects(impatient, { code: Code.DEADLINE_EXCEEDED });
    await removeNode(first);
    await assert.rejects(removed, { code: Code.NOT_FOUND, message: 'NotFound' });
    authority.stop();
    await assert.rejects(stopped, { code: Code.ABORTED, message: 'CA signer is stopped' });
  });

  test('requests that are no good fail with a text; an empty one is refused', async () => {
    using channel = new Channel({ to: 'anyone', address: listener.address });
    const { IssueNodeCertificate, NodeCertificateStatus } = channel.service('NodeCA');
    authority.start();
    const token = tokens().worker;
    await assert.rejects(IssueNodeCertificate({ token }), {
      code: Code.INVALID_ARGUMENT,
      message: 'InvalidArgument',
    });
    const { nodeId } = await IssueNodeCertificate({ token, csr: Buffer.from('garbage') });
    const { status } = await NodeCertificateStatus({ nodeId });
    assert.deepEqual(status, {
      state: IssuanceStatusState.FAILED,
      err: 'the certificate request is not PEM',
    });
  });

  test('what waited while there was no leader is signed by the next one', async () => {
    authority.start();
    const { identity } = await joinWith(tokens().worker);
    authority.stop();
    const node = nodeOf(identity.nodeId);
    const status = { state: IssuanceStatusState.RENEW, err: '' } as const;
    await changeNode(node.id, { certificate: { ...node.certificate, status } });
    authority.start();
    using channel = new Channel({ to: 'anyone', address: listener.address });
    const reply = await channel.service('NodeCA').NodeCertificateStatus({ nodeId: node.id });
    assert.equal(reply.status?.state, IssuanceStatusState.ISSUED);
  });

  test('the life of certificates follows the cluster’s setting at once', async () => {
    authority.start();
    assert.equal(await life(2 * 3600), 3 * HOUR_MS);
    assert.equal(await life(60), 2161 * HOUR_MS); // below one hour: the default
  });

  test('a node renews by its certificate alone, and is the same node with a new key', async () => {
    authority.start();
    const keys = newStore();
    const security = await joinWith(tokens().worker, keys);
    const { nodeId, credentials } = security.identity;
    // The cluster has made it a manager meanwhile.
    await changeNode(nodeId, { role: NodeRole.MANAGER });
    const changed = new Promise((resolve) => security.watch(resolve));
    const renewer = new Renewer({
      security,
      approach: (_attempt, { credentials: identity }) => ({
        to: 'manager',
        address: listener.address,
        rootPem: identity.rootPem,
        identity,
      }),
      env: realEnv,
      log: silentLog,
    });
    renewer.start();
    renewer.force(Role.MANAGER);
    await changed;
    await renewer.stop();
    assert.equal(security.identity.nodeId, nodeId);
    assert.equal(security.identity.role, Role.MANAGER);
    assert.notEqual(security.credentials.keyPem, credentials.keyPem);
    const loaded = await loadSecurityContext(keys, Date.now());
    assert.deepEqual(loaded?.identity, security.identity);
  });

  test('a node that the cluster no longer knows cannot renew', async () => {
    authority.start();
    const security = await joinWith(tokens().worker);
    const { nodeId, credentials } = security.identity;
    await removeNode(nodeId);
    using channel = new Channel({
      to: 'manager',
      address: listener.address,
      rootPem: credentials.rootPem,
      identity: credentials,
    });
    const csr = Buffer.from(certificateRequest(await newKey()));
    await assert.rejects(channel.service('NodeCA').IssueNodeCertificate({ csr }), {
      code: Code.NOT_FOUND,
      message: `node ${nodeId} not found when attempting to renew certificate`,
    });
  });

  test('the files of an identity have the names and modes of SwarmKit, and no root key', async () => {
    authority.start();
    const path = join(directory, 'files');
    await joinWith(tokens().worker, new KeyFiles(path));
    const files = (await readdir(path)).toSorted();
    assert.deepEqual(files, ['swarm-node.crt', 'swarm-node.key', 'swarm-root-ca.crt']);
    const modes = await Promise.all(
      files.map(async (file) => (await stat(join(path, file))).mode & 0o777),
    );
    assert.deepEqual(modes, [0o644, 0o600, 0o644]);
    assert.equal((await stat(path)).mode & 0o777, 0o755);
    assert.equal(await readFile(join(path, 'swarm-root-ca.crt'), 'utf8'), root.certificatePem);
  });
});
