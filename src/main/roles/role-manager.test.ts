import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { Node } from '../../shared/wire/gen/objects.ts';
import { NodeRole } from '../../shared/wire/gen/types.ts';
import { realEnv } from '../env.ts';
import { silentLog } from '../log.ts';
import { openMemoryStore } from '../store/testing/memory-log.ts';
import type { Member } from './core/plan.ts';
import { RoleManager } from './role-manager.ts';

const { MANAGER, WORKER } = NodeRole;

/** The leader is member 1 on node `a`; `b` and `c` are managers too. */
class World {
  readonly memory = openMemoryStore(realEnv);
  members: readonly Member[] = ['a', 'b', 'c'].map((nodeId, i) => ({
    raftId: BigInt(i + 1),
    nodeId,
  }));
  isQuorumSafe = true;
  /** How many removals fail first. */
  failures = 0;
  readonly done: string[] = [];
  readonly said: unknown[] = [];
  readonly manager: RoleManager;
  #heard: () => void = () => undefined;

  constructor() {
    this.manager = new RoleManager({
      store: this.memory.store,
      retryMs: 5,
      log: {
        ...silentLog,
        warn: (fields) => {
          this.said.push(fields);
          this.#heard();
        },
      },
      group: {
        members: () => this.members,
        self: () => 1n,
        canRemove: () => this.isQuorumSafe,
        missing: () => ': managers not reached: c (h:1)',
        remove: async (raftId) => {
          if ((this.failures -= 1) >= 0) throw new Error('no answer');
          this.members = this.members.filter((member) => member.raftId !== raftId);
          this.done.push(`removed ${raftId}`);
          this.#heard();
        },
        handOver: async (signal) => {
          this.done.push('handed over');
          this.#heard();
          await once(signal, 'abort');
          throw new Error('leads no more');
        },
      },
    });
  }

  async write(id: string, role: NodeRole, desiredRole: NodeRole): Promise<void> {
    await this.memory.store.update((tx) => {
      const node = tx.nodes.get(id);
      if (node === undefined) tx.nodes.create(Node.create({ id, role, spec: { desiredRole } }));
      else tx.nodes.update({ ...node, role, spec: { ...node.spec, desiredRole } });
    });
    this.#heard();
  }

  async start(): Promise<void> {
    for (const id of ['a', 'b', 'c']) await this.write(id, MANAGER, MANAGER);
    await this.write('d', WORKER, WORKER);
    this.memory.store.watch(() => this.#heard());
    this.manager.start();
  }

  roles(): string {
    return this.memory.store.view((view) =>
      [...view.nodes.all()]
        .map(({ id, role }) => `${id}${role}`)
        .toSorted()
        .join(' '),
    );
  }

  async until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#heard = resolve;
      });
    }
  }
}

describe('a role manager', () => {
  test('[ROLE1] [ROLE6] gives roles to nodes that changed before it led, and after', async (t) => {
    const world = new World();
    t.after(() => world.manager.stop());
    await world.write('e', WORKER, MANAGER);
    await world.start();
    await world.until(() => world.roles().includes('e1'));
    await world.write('d', WORKER, MANAGER);
    await world.until(() => world.roles() === 'a1 b1 c1 d1 e1');
    assert.deepEqual(world.done, []);
  });

  test('[ROLE2] [ROLE5] removes a member before its node is a worker, however often it takes', async (t) => {
    const world = new World();
    t.after(() => world.manager.stop());
    await world.start();
    world.failures = 2;
    await world.write('b', MANAGER, WORKER);
    await world.until(() => world.roles() === 'a1 b0 c1 d0');
    assert.deepEqual(world.done, ['removed 2']);
    assert.equal(world.said.length, 2);
  });

  test('[ROLE3] [ROLE5] waits for the quorum, says once for whom, and evicts nodes that are gone', async (t) => {
    const world = new World();
    t.after(() => world.manager.stop());
    await world.start();
    world.isQuorumSafe = false;
    await world.memory.store.update((tx) => tx.nodes.remove('b'));
    await world.until(() => world.said.length > 0);
    assert.deepEqual(world.said, [{ managers: ['b: managers not reached: c (h:1)'] }]);
    world.isQuorumSafe = true;
    await world.write('d', WORKER, MANAGER);
    await world.until(() => world.roles().includes('d1') && world.done.length > 0);
    assert.deepEqual(world.done, ['removed 2']);
    assert.equal(world.said.length, 1);
  });

  test('[ROLE4] hands over when its own node is to be a worker, and stops without waiting', async () => {
    const world = new World();
    await world.start();
    await world.write('a', MANAGER, WORKER);
    await world.until(() => world.done.length > 0);
    world.manager.stop();
    assert.deepEqual(world.done, ['handed over']);
    assert.equal(world.roles(), 'a1 b1 c1 d0', 'the next leader does the rest');
  });
});
