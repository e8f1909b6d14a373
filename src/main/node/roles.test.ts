/** Nodes that become managers and workers as they run, in one process. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { until } from '../../../test/support/until.ts';
import type { Node as NodeObject } from '../../shared/wire/gen/objects.ts';
import { NodeRole, RaftMemberStatusReachability } from '../../shared/wire/gen/types.ts';
import { KeyFiles } from '../ca/key-files.ts';
import { hasDataKey, isJoining, wipingHeaders } from './data-key.ts';
import { CALL, Nodes, PATIENCE_MS } from '../../../test/support/nodes.ts';

const { MANAGER, WORKER } = NodeRole;

const leads = ({ managerStatus }: NodeObject): number => Number(managerStatus?.leader);

describe('roles of running nodes', () => {
  let directory: string;
  let cluster: Nodes;

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'skein-roles-'));
    cluster = new Nodes(directory);
    const founder = await cluster.start('one');
    await founder.ready;
    for (const name of ['two', 'three']) {
      await cluster.start(name, await cluster.joinWith('worker', founder));
      await cluster.becomes(name, WORKER);
    }
  });
  after(async () => {
    for (const name of cluster.nodes.keys()) await cluster.stop(name);
    await rm(directory, { recursive: true });
  });

  /** Makes just these nodes managers, one after the other. Tests come in any order. */
  async function managersAre(...managers: readonly string[]): Promise<void> {
    const others = ['one', 'two', 'three'].filter((name) => !managers.includes(name));
    for (const [names, role] of [
      [managers, MANAGER],
      [others, WORKER],
    ] as const) {
      for (const name of names) {
        if ((await cluster.object(name)).spec.desiredRole !== role) await cluster.want(name, role);
        await cluster.becomes(name, role);
      }
    }
  }

  test('[NODE10] workers become managers, and workers again, and their tasks run on', async () => {
    await managersAre('one');
    const { service } = await cluster.ask((control) =>
      control.CreateService({
        spec: {
          annotations: { name: 'web' },
          task: { runtime: { case: 'container', value: { image: 'none' } } },
          mode: { case: 'replicated', value: { replicas: 6n } },
        },
      }),
    );
    const running = (): Promise<string[]> =>
      until('six tasks run', PATIENCE_MS, async () => {
        const filters = { serviceIds: [service?.id ?? ''] };
        const { tasks } = await cluster.ask((control) => control.ListTasks({ filters }, CALL));
        const ids = tasks.filter((task) => task.status.state === 512).map(({ id }) => id);
        return ids.length === 6 && ids.toSorted();
      });
    const tasks = await running();
    for (const name of ['two', 'three']) await cluster.want(name, MANAGER);
    for (const name of ['two', 'three']) await cluster.becomes(name, MANAGER);
    assert.deepEqual(await running(), tasks);
    // The leader too.
    await cluster.want('one', WORKER);
    await cluster.becomes('one', WORKER);
    await cluster.keepsNothing('one');
    assert.deepEqual(await running(), tasks);
    await cluster.want('one', MANAGER);
    await cluster.becomes('one', MANAGER);
    assert.deepEqual(await running(), tasks);
  });

  test('[NODE11] a manager that was removed while it was away makes itself a worker', async () => {
    await managersAre('one', 'two', 'three');
    await cluster.stop('three');
    await cluster.want('three', WORKER);
    await until('three is no member', PATIENCE_MS, async () => {
      const { role, managerStatus } = await cluster.object('three');
      return role === WORKER && managerStatus === undefined;
    });
    await cluster.start('three');
    await cluster.becomes('three', WORKER);
    await cluster.keepsNothing('three');
  });

  test('[NODE11] what a crash left of a wiping goes at the next start', async () => {
    await managersAre('one', 'two', 'three');
    await managersAre('one', 'two');
    await cluster.keepsNothing('three');
    await cluster.stop('three');
    const keys = new KeyFiles(join(cluster.stateDir('three'), 'certificates'));
    await keys.updateHeaders((headers) =>
      wipingHeaders({ ...headers, 'raft-dek': 'x', 'skein-founded': 'true' }),
    );
    await cluster.start('three');
    await cluster.becomes('three', WORKER);
    await cluster.keepsNothing('three');
  });

  /** Stops the node's process, so to say, and starts it where nobody knows it. */
  async function move(name: string): Promise<void> {
    const old = (await cluster.becomes(name, MANAGER)).managerStatus?.addr;
    await cluster.stop(name);
    const node = await cluster.start(name);
    assert.notEqual(node.manager?.address, old);
    await until('the others know', PATIENCE_MS, async () => {
      const { managerStatus } = await cluster.object(name);
      const reached = managerStatus?.reachability === RaftMemberStatusReachability.REACHABLE;
      return reached && managerStatus.addr === node.manager?.address;
    });
    await cluster.becomes(name, MANAGER);
  }

  test('[NODE12] one of two managers, neither of which can lead alone, starts at another address', async () => {
    await managersAre('one', 'two');
    for (const name of ['one', 'two']) await move(name);
  });

  test('[NODE12] a manager that starts at another address tells the others, the leader too', async () => {
    await managersAre('one', 'two', 'three');
    const nodes = await Promise.all(['one', 'two', 'three'].map((name) => cluster.object(name)));
    const [follower, , leader] = nodes.toSorted((a, b) => leads(a) - leads(b));
    for (const node of [follower, leader]) await move(node?.description?.hostname ?? '');
  });

  test('[NODE9] a worker that is promoted has the key of its log with its certificate', async () => {
    await managersAre('one', 'two');
    await managersAre('one', 'two', 'three');
    const headers = (await new KeyFiles(join(cluster.stateDir('three'), 'certificates')).load())
      ?.headers;
    assert.equal(hasDataKey(headers ?? {}), true);
    assert.equal(isJoining(headers ?? {}), false, 'it was let in');
    await cluster.stop('three');
    await cluster.start('three');
    await cluster.becomes('three', MANAGER);
  });
});
