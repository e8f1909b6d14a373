/** A node that joins as a manager: in one go, after a crash on the way, and when it starts again. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { NodeSpecAvailability } from '../../shared/wire/gen/specs.ts';
import { joinCluster } from '../ca/bootstrap.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { Channel } from '../rpc/client.ts';
import { foundedHeaders, isFounded, isJoining, newJoiningHeaders } from './data-key.ts';
import { Node, type NodeOptions } from './node.ts';

const LOOPBACK = { host: '127.0.0.1', port: 0 };

function optionsOf(directory: string, hostname: string, joins?: NodeOptions['join']): NodeOptions {
  return {
    stateDir: join(directory, hostname),
    hostname,
    join: joins,
    availability: NodeSpecAvailability.DRAIN,
    executor: undefined,
    taskThreads: 1,
    manager: {
      listen: LOOPBACK,
      advertise: LOOPBACK,
      controlSocket: join(directory, `${hostname}.sock`),
      tickMs: 50,
    },
    env: realEnv,
    log: silentLog,
    onFatal: (error) => assert.fail(String(error)),
  };
}

const managersOf = async (directory: string, hostname: string): Promise<string[]> => {
  using channel = new Channel({ to: 'socket', path: join(directory, `${hostname}.sock`) });
  const { nodes } = await channel.service('Control').ListNodes({});
  return nodes.filter(({ managerStatus }) => managerStatus !== undefined).map(({ id }) => id);
};

test('[NODE7] a manager that crashed before it was let in is let in at its next start', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'skein-joining-'));
  t.after(() => rm(directory, { recursive: true }));
  const founder = await Node.start(optionsOf(directory, 'founder'));
  t.after(() => founder.stop());
  const { manager } = founder;
  assert.ok(manager);
  const token = manager.store.view(
    (view) => [...view.clusters.all()][0]?.rootCa.joinTokens.manager,
  );
  const joins = { address: manager.address, token: token ?? '' };
  const options = optionsOf(directory, 'second', joins);

  // This far, and then the crash.
  const keys = new KeyFiles(join(options.stateDir, 'certificates'));
  const { identity } = await joinCluster({
    store: keys,
    ...joins,
    managerHeaders: newJoiningHeaders(),
    env: realEnv,
    log: silentLog,
    signal: new AbortController().signal,
  });
  const second = await Node.start(options);
  t.after(() => second.stop());
  await second.ready;
  assert.equal(second.nodeId, identity.nodeId);
  const both = [founder.nodeId, second.nodeId].toSorted();
  assert.deepEqual((await managersOf(directory, 'founder')).toSorted(), both);
  // Asked at the follower, the leader answers.
  assert.deepEqual((await managersOf(directory, 'second')).toSorted(), both);
  const stored = await keys.load();
  assert.equal(isFounded(stored?.headers ?? {}), true, 'it never joins as somebody new again');
});

test('[NODE7] a key is marked as joining until its log holds a cluster', () => {
  const joining = newJoiningHeaders();
  assert.deepEqual([isJoining(joining), isFounded(joining)], [true, false]);
  const joined = foundedHeaders(joining);
  assert.deepEqual([isJoining(joined), isFounded(joined)], [false, true]);
  assert.equal(joined['raft-dek'], joining['raft-dek']);
});
