import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Task } from '../../shared/wire/gen/objects.ts';
import { InternalRaftRequest } from '../../shared/wire/gen/raft.ts';
import { openMemoryStore } from './testing/memory-log.ts';
import { env, manual, open, secret, turn } from './testing/store-kit.ts';
import type { Transaction } from './transaction.ts';

const create = (tx: Transaction, id: string): void => tx.tasks.create(Task.create({ id }));

/** Fails for 2, after it has written. */
function each(tx: Transaction, n: number): void {
  tx.tasks.create(Task.create({ id: `t${n}` }));
  if (n === 2) throw new RangeError('two');
  if (n === 4) tx.tasks.remove('t3');
}

test('[STO14] 450 creations are three entries of a batch', async () => {
  const { store, log } = manual();
  const ids = Array.from({ length: 450 }, (_, n) => `t${n}`);
  const done = store.batch(ids, (tx, id) => tx.tasks.create(Task.create({ id })));
  await turn();
  assert.deepEqual(
    log.pending.map(({ bytes }) => InternalRaftRequest.decode(bytes).action.length),
    [200, 200, 50],
  );
  log.commitAll();
  await done;
  assert.equal(
    store.view(({ tasks }) => tasks.size),
    450,
  );
});

test('[STO14] a batch splits by bytes, and refuses items that fit no entry', async () => {
  const { store, log } = open();
  const failed: string[] = [];
  await store.batch(
    [
      ['a', 700_000],
      ['b', 700_000],
      ['c', 1_600_000],
      ['d', 900_000],
      ['e', 900_000],
    ] as const,
    (tx, [id, bytes]) => tx.secrets.create(secret(id, id, bytes)),
    ([id], error) => failed.push(`${id} ${error instanceof Error ? error.message : ''}`),
  );
  assert.deepEqual(failed, ["c raft: raft message is too large and can't be sent"]);
  assert.deepEqual(
    log.committed.map(({ bytes }) => InternalRaftRequest.decode(bytes).action.length),
    [2, 1, 1],
  );
});

test('[STO14] an item that throws is undone alone', async () => {
  const { store } = open();
  const failed: number[] = [];
  await store.batch([1, 2, 3], each, (n) => failed.push(n));
  assert.deepEqual(failed, [2]);
  await assert.rejects(store.batch([2, 4], each), RangeError);
  assert.deepEqual(
    store.view(({ tasks }) => Array.from(tasks.all(), (row) => row.id).toSorted()),
    ['t1', 't4'],
  );
});

test('[STO14] a long batch lets other turns run, and ends with leadership', async () => {
  const { store, log } = openMemoryStore(env, { defer: (run) => void setImmediate(run) });
  const ids = Array.from({ length: 5000 }, (_, n) => `t${n}`);
  const done = store.batch(ids, create);
  const sizes: number[] = [];
  while (sizes.at(-1) !== 5000) {
    await turn();
    sizes.push(store.head(({ tasks }) => tasks.size));
  }
  assert.ok(new Set(sizes).size >= 4, sizes.join());
  await done;
  const again = store.batch(
    ids.map((id) => `again ${id}`),
    create,
  );
  await turn();
  log.loseLeadership();
  await assert.rejects(again, { code: /LEADERSHIP_LOST|NOT_LEADER/ });
  assert.equal(
    store.head(({ tasks }) => tasks.size),
    store.view(({ tasks }) => tasks.size),
  );
});

test('[STO21] batches that come together share the turns, the first before the second', async () => {
  const { store } = openMemoryStore(env, { defer: (run) => void setImmediate(run) });
  const order: string[] = [];
  const batch = async (name: string): Promise<void> => {
    const ids = Array.from({ length: 900 }, (_, n) => `${name}${n}`);
    await store.batch(ids, (tx, id) => {
      if (order.at(-1) !== name) order.push(name);
      create(tx, id);
    });
  };
  const done = Promise.all(['a', 'b', 'c'].map(batch));
  assert.ok(store.head(({ tasks }) => tasks.size) <= 900, 'all ran in one turn');
  await done;
  assert.deepEqual(order, ['a', 'b', 'c']);
  assert.equal(
    store.view(({ tasks }) => tasks.size),
    2700,
  );
});
