/**
 * A founding manager with a disk of its own: a crash at any step leaves something from which the next
 * start founds a cluster, and a founded cluster is never founded again.
 */
import assert from 'node:assert/strict';
import { cp, mkdtemp, rename, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Service } from '../../shared/wire/gen/objects.ts';
import { NodeSpecAvailability, NodeSpecMembership } from '../../shared/wire/gen/specs.ts';
import { NodeRole, NodeStatusState } from '../../shared/wire/gen/types.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Channel } from '../rpc/client.ts';
import { LmdbLog } from '../raft/log/lmdb-log.ts';
import { dataKeysOf } from './data-key.ts';
import { Node } from './node.ts';

type Facts = { readonly nodeId: string; readonly clusterId: string; readonly services: string[] };

/** Starts a manager on the state in `stateDir`, lets `use` look at it, and stops it. */
async function run(
  stateDir: string,
  use: (node: Node) => Promise<void> | void = () => undefined,
  port = 0,
) {
  const listen = { host: '127.0.0.1', port };
  const node = await Node.start({
    stateDir,
    hostname: 'founder',
    join: undefined,
    availability: NodeSpecAvailability.DRAIN,
    executor: undefined,
    taskThreads: 1,
    manager: {
      listen,
      advertise: listen,
      controlSocket: join(stateDir, 'control.sock'),
      tickMs: 20,
    },
    env: realEnv,
    log: silentLog,
    onFatal: (error) => assert.fail(String(error)),
  });
  try {
    await node.ready;
    await use(node);
    const { manager, nodeId } = node;
    assert.ok(manager);
    return manager.store.view((view): Facts => {
      const clusters = [...view.clusters.all()].map(({ id }) => id);
      assert.deepEqual([clusters.length, view.nodes.size], [1, 1]);
      const services = [...view.services.all()].map(({ id }) => id);
      return { nodeId, clusterId: clusters[0] ?? '', services };
    });
  } finally {
    await node.stop();
  }
}

describe('founding', () => {
  let root: string;
  let founded: string;
  let facts: Facts;
  let copies = 0;

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'skein-founding-'));
    founded = join(root, 'founded');
    facts = await run(founded);
  });
  after(() => rm(root, { recursive: true }));

  /** A copy of the founded state, in which the test then breaks something. */
  const copy = async (): Promise<string> => {
    const path = join(root, `copy${(copies += 1)}`);
    await cp(founded, path, { recursive: true, filter: (file) => !file.endsWith('.sock') });
    return path;
  };

  /** The same while founding was under way: the key does not say yet that its log holds a cluster. */
  const unfinished = async (): Promise<string> => {
    const stateDir = await copy();
    const keys = new KeyFiles(join(stateDir, 'certificates'));
    const stored = await keys.load();
    assert.ok(stored);
    const { 'skein-founded': said, ...headers } = stored.headers;
    assert.equal(said, 'true');
    await keys.save(stored.certificatePem, stored.keyPem, headers);
    return stateDir;
  };

  test('the first objects: a cluster, this manager and its networks', async () => {
    const again = await run(await copy(), (node) => {
      node.manager?.store.view((view) => {
        const own = view.nodes.get(node.nodeId);
        assert.ok(own);
        const { desiredRole, membership, availability } = own.spec;
        assert.deepEqual(
          [own.role, desiredRole, membership, availability],
          [
            NodeRole.MANAGER,
            NodeRole.MANAGER,
            NodeSpecMembership.ACCEPTED,
            NodeSpecAvailability.DRAIN,
          ],
        );
        assert.equal(own.status.state, NodeStatusState.READY);
        const [cluster] = view.clusters.all();
        assert.equal(cluster?.networkBootstrapKeys.length, 6);
        assert.notEqual(cluster.rootCa.joinTokens.worker, cluster.rootCa.joinTokens.manager);
        assert.equal(view.networks.byName('ingress')?.spec.ingress, true);
      });
    });
    assert.deepEqual(again, facts);
  });

  test('[NODE2] what was written is there after each start, and who it is stays', async () => {
    const stateDir = await copy();
    for (const id of ['a', 'b']) {
      await run(stateDir, async (node) => {
        const spec = { annotations: { name: id } };
        await node.manager?.store.update((tx) => tx.services.create(Service.create({ id, spec })));
      });
    }
    const last = await run(stateDir);
    assert.deepEqual(
      { ...last, services: last.services.toSorted() },
      { ...facts, services: ['a', 'b'] },
    );
  });

  const certificates = ['swarm-root-ca.crt', 'swarm-node.crt', 'swarm-node.key'];
  /** What a crash can leave, from the first step to the last: which files are not there yet. */
  const crashes: Readonly<Record<string, readonly string[]>> = {
    'before anything': ['certificates', 'raft', 'worker'],
    'with a root alone': [...certificates.slice(1).map((f) => `certificates/${f}`), 'raft'],
    'with a key and no certificate': ['certificates/swarm-node.crt', 'raft'],
    'with an identity and no log': ['raft'],
    'while an earlier attempt was taken away': ['certificates/swarm-root-ca.crt', 'raft'],
  };
  for (const [when, missing] of Object.entries(crashes)) {
    test(`[NODE1] a crash ${when} does not stop the next start`, async () => {
      const stateDir = await unfinished();
      for (const path of missing) await rm(join(stateDir, path), { recursive: true });
      const first = await run(stateDir);
      assert.notEqual(first.clusterId, facts.clusterId);
      assert.deepEqual(await run(stateDir), first);
    });
  }

  test('[NODE6] a log that is lost is a reason to stop, not to found another cluster', async () => {
    const stateDir = await copy();
    const away = join(root, 'away');
    await rename(join(stateDir, 'raft'), away);
    await assert.rejects(
      run(stateDir),
      /held the log of this manager and is empty now: put it back/,
    );
    await rm(join(stateDir, 'raft'), { recursive: true, force: true });
    await rename(away, join(stateDir, 'raft'));
    assert.deepEqual(await run(stateDir), facts);
  });

  test('[NODE8] a manager in use rotates its data key on request, again and again', async () => {
    const stateDir = await copy();
    const keys = new KeyFiles(join(stateDir, 'certificates'));
    const current = async (): Promise<Uint8Array | undefined> => {
      const found = dataKeysOf((await keys.load())?.headers ?? {});
      assert.equal(found?.needsRotation, false);
      return found.current;
    };
    const original = await current();
    await run(stateDir, async () => {
      using channel = new Channel({ to: 'socket', path: join(stateDir, 'control.sock') });
      const operations = channel.service('Operations');
      await operations.RotateDataKey({});
      const first = await current();
      assert.notDeepEqual(first, original);
      await operations.RotateDataKey({});
      assert.notDeepEqual(await current(), first);
    });
    assert.deepEqual(await run(stateDir), facts);
  });

  test('[NODE1] a crash with a log that knows no member does not stop the next start', async () => {
    const stateDir = await unfinished();
    await rm(join(stateDir, 'raft'), { recursive: true });
    const stored = await new KeyFiles(join(stateDir, 'certificates')).load();
    const dataKey = dataKeysOf(stored?.headers ?? {})?.current;
    assert.ok(dataKey);
    const empty = new LmdbLog(join(stateDir, 'raft'), dataKey);
    await empty[Symbol.asyncDispose]();
    const first = await run(stateDir);
    assert.deepEqual(await run(stateDir), first);
  });

  test('[NODE3] a key without the key of the log is refused in words, and nothing is lost', async () => {
    const stateDir = await copy();
    const keys = new KeyFiles(join(stateDir, 'certificates'));
    const stored = await keys.load();
    assert.ok(stored);
    await keys.save(stored.certificatePem, stored.keyPem, {});
    await assert.rejects(run(stateDir), /lacks the key of the raft log/);
    await keys.save(stored.certificatePem, stored.keyPem, stored.headers);
    assert.deepEqual(await run(stateDir), facts);
  });

  test('[NODE3] a damaged certificate is refused, not replaced', async () => {
    const stateDir = await copy();
    await truncate(join(stateDir, 'certificates', 'swarm-node.crt'), 20);
    await assert.rejects(run(stateDir), /certificate key mismatch/);
  });

  test('[NODE5] a start that fails leaves nothing behind that hinders the next', async () => {
    const stateDir = await copy();
    await run(await copy(), async (other) => {
      const port = Number(other.manager?.address.split(':').at(-1));
      await assert.rejects(run(stateDir, undefined, port), /EADDRINUSE/);
    });
    assert.deepEqual(await run(stateDir), facts);
  });

  test('[MGR3] a manager that stops ends the streams of others itself, with its words', async () => {
    const stateDir = await copy();
    const path = join(stateDir, 'control.sock');
    const request = { selector: { nodeIds: ['any'] }, options: { follow: true } };
    let channel: Channel | undefined;
    let ended: Promise<unknown> | undefined;
    await run(stateDir, async ({ manager }) => {
      channel = new Channel({ to: 'socket', path });
      const messages = channel.service('Logs').SubscribeLogs(request)[Symbol.asyncIterator]();
      ended = assert.rejects(messages.next(), /broker is not running/);
      // One connection, so this answer comes when the stream stands.
      const { nodes } = await channel.service('Control').ListNodes({});
      assert.deepEqual([nodes.length, manager === undefined], [1, false]);
    });
    await ended;
    channel?.close();
  });
});
