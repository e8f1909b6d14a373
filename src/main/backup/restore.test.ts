/** A cluster that is backed up while it works, lost, and restored at another address. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import type { Cluster } from '../../shared/wire/gen/objects.ts';
import { BackupHeader, type BackupPart } from '../../shared/wire/gen/operations.ts';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Node } from '../node/node.ts';
import { Channel } from '../rpc/client.ts';
import { BackupFile, writeBackup } from './backup-file.ts';
import { BackupError } from './records.ts';
import { restore } from './restore.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

const startIn = (stateDir: string): Promise<Node> =>
  Node.start({
    stateDir,
    hostname: 'manager',
    join: undefined,
    availability: NodeSpecAvailability.DRAIN,
    executor: undefined,
    taskThreads: 1,
    manager: {
      listen: LOOPBACK,
      advertise: LOOPBACK,
      controlSocket: `${stateDir}.sock`,
      tickMs: 20,
    },
    env: realEnv,
    log: silentLog,
    onFatal: (error) => assert.fail(String(error)),
  });

const clusterOf = ({ manager }: Node): Cluster =>
  manager?.store.view((view) => [...view.clusters.all()][0]) ?? assert.fail();

describe('restore', () => {
  let directory: string;
  let backup: string;
  let lost: { nodeId: string; clusterId: string; address: string; raftId: bigint };
  const scratch = (name: string): string => join(directory, name);

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-restore-'));
    backup = scratch('backup');
    const node = await startIn(scratch('lost'));
    using channel = new Channel({ to: 'socket', path: `${scratch('lost')}.sock` });
    const spec = { annotations: { name: 'kept' }, data: Buffer.from('hush') };
    await channel.service('Control').CreateSecret({ spec });
    await writeFrom(channel.service('Operations').Backup({}), backup);
    await channel
      .service('Control')
      .CreateSecret({ spec: { ...spec, annotations: { name: 'later' } } });
    const { manager } = await channel.service('Operations').Status({});
    lost = {
      nodeId: node.nodeId,
      clusterId: clusterOf(node).id,
      address: node.manager?.address ?? '',
      raftId: manager.raftId,
    };
    await node.stop();
  });
  after(() => rm(directory, { recursive: true }));

  test('[BAK4] it is the same cluster with another manager, at another address', async (t) => {
    const stateDir = scratch('restored');
    using file = new BackupFile(backup);
    const availability = NodeSpecAvailability.DRAIN;
    const { nodeId, counts } = await restore({ file, stateDir, availability, env: realEnv });
    assert.equal(counts.get('secret'), 1);
    const node = await startIn(stateDir);
    t.after(() => node.stop());
    await node.ready;
    assert.equal(node.nodeId, nodeId);
    assert.notEqual(nodeId, lost.nodeId);
    assert.equal(clusterOf(node).id, lost.clusterId);

    using channel = new Channel({ to: 'socket', path: `${stateDir}.sock` });
    const control = channel.service('Control');
    const { secrets } = await control.ListSecrets({});
    assert.deepEqual(
      secrets.map((s) => s.spec.annotations.name),
      ['kept'],
    );
    const { manager } = await channel.service('Operations').Status({});
    assert.deepEqual(manager.removedMembers, [lost.raftId], 'who comes back is told so');
    assert.deepEqual(
      manager.members.map((m) => m.nodeId),
      [nodeId],
    );
    assert.ok(manager.term > file.header.term);
    assert.ok(manager.snapshotIndex === file.header.index);

    // The one of before is a node like any that is lost.
    const { nodes } = await control.ListNodes({});
    assert.deepEqual(nodes.map(({ id }) => id).toSorted(), [nodeId, lost.nodeId].toSorted());
    await control.RemoveNode({ nodeId: lost.nodeId, force: true });
    await control.CreateSecret({ spec: { annotations: { name: 'new' }, data: Buffer.from('x') } });
  });

  test('[BAK5] a directory that holds anything is left alone, an empty one is taken', async () => {
    using file = new BackupFile(backup);
    const options = { file, availability: NodeSpecAvailability.ACTIVE, env: realEnv };
    const taken = scratch('taken');
    await mkdir(taken);
    await restore({ ...options, stateDir: taken });
    const files = (await readdir(taken)).toSorted();
    assert.deepEqual(files, ['certificates', 'raft']);
    const key = await readFile(join(taken, 'certificates', 'swarm-node.key'), 'utf8');
    await assert.rejects(
      restore({ ...options, stateDir: taken }),
      /is not empty: name a new directory/,
    );
    assert.equal(await readFile(join(taken, 'certificates', 'swarm-node.key'), 'utf8'), key);
    await assert.rejects(restore({ ...options, stateDir: backup }), /is not empty/);
  });

  test('[BAK5] what is no whole backup leaves nothing behind', async () => {
    const there = (await readdir(directory)).toSorted();
    const whole = await readFile(backup);
    const damaged = scratch('damaged');
    const header = BackupHeader.create({ clusterId: lost.clusterId, index: 9 });
    const make = async (...pieces: readonly string[]): Promise<void> => {
      async function* all(): AsyncIterable<Uint8Array> {
        yield* pieces.map((piece) => Buffer.from(piece, 'hex'));
      }
      await writeBackup(damaged, { header, pieces: all() }, { overwrite: true });
    };
    for (const [prepare, words] of [
      [() => writeFile(damaged, whole.subarray(0, -10)), /is cut short or damaged/],
      [() => make(), /holds no cluster/],
      [() => make('ff'), /holds what is no state of a cluster/],
    ] as const) {
      await prepare();
      using file = new BackupFile(damaged);
      const stateDir = scratch('never');
      const options = { file, stateDir, availability: NodeSpecAvailability.ACTIVE, env: realEnv };
      await assert.rejects(restore(options), (error) => {
        assert.ok(error instanceof BackupError);
        assert.match(error.message, words);
        return true;
      });
    }
    await rm(damaged);
    assert.deepEqual((await readdir(directory)).toSorted(), there);
  });
});

/** The parts of a backup as a manager streams them, in a file. */
async function writeFrom(parts: AsyncIterable<BackupPart>, path: string): Promise<void> {
  const iterator = parts[Symbol.asyncIterator]();
  const { value: first } = await iterator.next();
  assert.ok(first?.part?.case === 'header');
  async function* pieces(): AsyncIterable<Uint8Array> {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      assert.ok(next.value.part?.case === 'piece');
      yield next.value.part.value;
    }
  }
  await writeBackup(path, { header: first.part.value, pieces: pieces() });
}
