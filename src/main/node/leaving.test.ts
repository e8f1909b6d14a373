/** Nodes that leave their cluster on the word of somebody on their machine. */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../../test/support/until.ts';
import { NodeRole } from '../../shared/wire/gen/types.ts';
import { Channel, type ServiceClient } from '../rpc/client.ts';
import { Code, hasCode } from '../rpc/errors.ts';
import { CALL, Nodes, PATIENCE_MS } from '../../../test/support/nodes.ts';

const { MANAGER, WORKER } = NodeRole;

const refusedWith = (text: RegExp) => (error: unknown) =>
  hasCode(error, Code.FAILED_PRECONDITION) && text.test(error.message);

describe('nodes that leave', () => {
  let directory: string;
  let cluster: Nodes;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-leaving-'));
    cluster = new Nodes(directory);
    const founder = await cluster.start('one');
    await founder.ready;
    await cluster.start('two', await cluster.joinWith('manager', founder));
    await cluster.becomes('two', MANAGER);
    await cluster.start('three', await cluster.joinWith('worker', founder));
    await cluster.becomes('three', WORKER);
  });
  after(async () => {
    for (const name of cluster.nodes.keys()) await cluster.stop(name);
    await rm(directory, { recursive: true });
  });

  async function at<T>(
    name: string,
    use: (channel: {
      control: ServiceClient<'Control'>;
      operations: ServiceClient<'Operations'>;
    }) => Promise<T>,
  ): Promise<T> {
    using channel = new Channel({ to: 'socket', path: cluster.socket(name) });
    const clients = {
      control: channel.service('Control'),
      operations: channel.service('Operations'),
    };
    return await use(clients);
  }

  /** Asks it to leave, and waits until it has. */
  async function leave(name: string, force: boolean): Promise<void> {
    await at(name, ({ operations }) => operations.Leave({ force }, CALL));
    await until(`${name} leaves`, PATIENCE_MS, () => cluster.left.has(name));
    await cluster.left.get(name);
    for (const kept of ['certificates', 'raft', 'worker', 'state.json']) {
      assert.equal(existsSync(join(cluster.stateDir(name), kept)), false, kept);
    }
    assert.equal(existsSync(cluster.socket(name)), false);
  }

  test('one after the other', async (t) => {
    await t.test(
      '[NODE17] a worker answers on its socket that it is none to ask, and can leave',
      async () => {
        const listed = at('three', ({ control }) => control.ListNodes({}, CALL));
        await assert.rejects(
          listed,
          refusedWith(/^this node is not a manager: workers cannot show/),
        );
        await leave('three', false);
      },
    );

    await t.test('[NODE17] what has left can join again, as somebody else', async () => {
      const one = cluster.nodes.get('one') ?? assert.fail();
      const old = await cluster.object('three');
      const three = await cluster.start('three', await cluster.joinWith('worker', one));
      await three.ready;
      assert.notEqual(three.nodeId, old.id);
      await leave('three', false);
    });

    await t.test('[NODE17] a manager leaves only by force, and is demoted on its way', async () => {
      const refused = at('two', ({ operations }) => operations.Leave({}, CALL));
      await assert.rejects(
        refused,
        refusedWith(/^this node is a manager: demote it first .* two"/),
      );
      await leave('two', true);
      const { role, managerStatus } = await cluster.object('two');
      assert.deepEqual([role, managerStatus], [WORKER, undefined]);
    });

    await t.test('[NODE17] the last manager ends the cluster, by force only', async () => {
      const refused = at('one', ({ operations }) => operations.Leave({}, CALL));
      await assert.rejects(refused, refusedWith(/^this node is the last manager: when it leaves/));
      await leave('one', true);
    });
  });
});
